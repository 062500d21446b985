#include "emer/fuse.h"

#include <algorithm>

#include "emer/embed.h"
#include "emer/error.h"

namespace emer {
namespace {

// Sixteen partial sums: wide enough for two AVX-512 or four SSE registers, and each sum stays short, which keeps
// single precision good to 1e-6 over thousands of terms.
constexpr std::size_t kLanes = 16;

float dot(const float* left, const float* right, std::size_t count) {
    float lanes[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += left[i + lane] * right[i + lane];
    double sum = 0;
    for (const float lane : lanes) sum += static_cast<double>(lane);
    for (; i < count; ++i) sum += static_cast<double>(left[i]) * static_cast<double>(right[i]);
    return static_cast<float>(sum);
}

std::string shape_text(const std::vector<std::size_t>& shape) {
    std::string out = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
    return out + "]";
}

void mean(const Embeddings& from, std::size_t dim, std::vector<float>& to) {
    to.resize(dim);
    for (std::size_t column = 0; column < dim; ++column) {
        double sum = 0;
        for (std::size_t step = 0; step < from.steps; ++step)
            sum += static_cast<double>(from.data[step * dim + column]);
        to[column] = static_cast<float>(sum / static_cast<double>(from.steps));
    }
}

void check(const Embeddings& from, std::size_t dim, const char* modality) {
    if (from.steps == 0) throw Error(Kind::input, std::string("There are no ") + modality + " embeddings");
    if (!all_finite(from.data, from.steps * dim))
        throw Error(Kind::input, std::string("The ") + modality + " embeddings hold a number that is not finite");
}

void check_result(const float* numbers, std::size_t count, const char* token) {
    if (!all_finite(numbers, count))
        throw Error(Kind::pack, std::string("The ") + token + " soft token is not finite",
                    "the weights of the fusion and these embeddings overflow single precision");
}

}  // namespace

void Fusion::Linear::apply(const float* from, float* to) const {
    for (std::size_t row = 0; row < rows; ++row) to[row] = dot(weight.data() + row * columns, from, columns) + bias[row];
}

// Takes layers out of the map by name, checks them, and at the end refuses what nobody asked for.
class Fusion::Loader {
public:
    explicit Loader(const std::map<std::string, TensorView>& tensors) : tensors_(tensors) {}

    // Zero for rows or columns takes what the file says.
    Linear linear(const std::string& name, std::size_t rows, std::size_t columns) {
        const TensorView& weight = find(name + ".weight", {rows, columns});
        const TensorView& bias = find(name + ".bias", {weight.shape[0]});
        Linear out;
        out.rows = weight.shape[0];
        out.columns = weight.shape[1];
        out.weight.assign(weight.data, weight.data + out.rows * out.columns);
        out.bias.assign(bias.data, bias.data + out.rows);
        return out;
    }

    void finish() const {
        if (used_ == tensors_.size()) return;
        throw Error(Kind::pack, "The fusion holds tensors that its kind does not use",
                    std::to_string(tensors_.size()) + " tensors, " + std::to_string(used_) + " of them known");
    }

private:
    const TensorView& find(const std::string& name, const std::vector<std::size_t>& shape) {
        const auto found = tensors_.find(name);
        if (found == tensors_.end()) throw Error(Kind::pack, "The fusion lacks the tensor " + name);
        const TensorView& tensor = found->second;
        bool fits = tensor.shape.size() == shape.size();
        std::size_t count = 1;
        for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) {
            fits = tensor.shape[axis] > 0 && (shape[axis] == 0 || tensor.shape[axis] == shape[axis]);
            count *= tensor.shape[axis];
        }
        if (!fits)
            throw Error(Kind::pack, "The tensor " + name + " has the shape " + shape_text(tensor.shape),
                        "expected " + shape_text(shape) + ", where 0 is any length");
        if (!all_finite(tensor.data, count))
            throw Error(Kind::pack, "The tensor " + name + " holds a number that is not finite");
        ++used_;
        return tensor;
    }

    const std::map<std::string, TensorView>& tensors_;
    std::size_t used_ = 0;
};

Fusion::Fusion(FusionKind kind, const std::map<std::string, TensorView>& tensors) : kind_(kind) {
    Loader loader(tensors);
    vision_project_ = loader.linear("affectgpt_proj", 0, 0);
    audio_project_ = loader.linear("audio_llama_proj", model_dim(), 0);
    const std::size_t widest = std::max(vision_dim(), audio_dim());
    vision_embed_ = loader.linear("multi_video_embs", widest, vision_dim());
    audio_embed_ = loader.linear("multi_audio_embs", widest, audio_dim());
    multi_project_ = loader.linear("multi_llama_proj", model_dim(), widest);
    if (kind_ == FusionKind::attention) {
        vision_attention_ = loader.linear("video_attention_mlp", 1, vision_dim());
        audio_attention_ = loader.linear("audio_attention_mlp", 1, audio_dim());
        const Linear attention = loader.linear("attention_mlp", widest, 2 * widest);
        compose_gate(attention, loader.linear("fc_att", 2, widest));
    }
    loader.finish();
}

// Two linear layers with nothing between them are one: F (M x + m) + f = (F M) x + (F m + f).
void Fusion::compose_gate(const Linear& attention, const Linear& gate) {
    gate_.rows = gate.rows;
    gate_.columns = attention.columns;
    for (std::size_t row = 0; row < gate.rows; ++row) {
        const float* outer = gate.weight.data() + row * gate.columns;
        std::vector<double> sums(attention.columns, 0.0);
        double bias = static_cast<double>(gate.bias[row]);
        for (std::size_t inner = 0; inner < attention.rows; ++inner) {
            const double factor = static_cast<double>(outer[inner]);
            const float* from = attention.weight.data() + inner * attention.columns;
            for (std::size_t column = 0; column < attention.columns; ++column)
                sums[column] += factor * static_cast<double>(from[column]);
            bias += factor * static_cast<double>(attention.bias[inner]);
        }
        for (const double sum : sums) gate_.weight.push_back(static_cast<float>(sum));
        gate_.bias.push_back(static_cast<float>(bias));
    }
}

void Fusion::pool(const Linear& attention, const Embeddings& from, std::size_t dim, std::vector<float>& to) const {
    if (kind_ == FusionKind::mean) return mean(from, dim, to);
    std::vector<double> sums(dim, 0.0);
    for (std::size_t step = 0; step < from.steps; ++step) {
        const float* row = from.data + step * dim;
        float score = 0;
        attention.apply(row, &score);
        for (std::size_t column = 0; column < dim; ++column)
            sums[column] += static_cast<double>(score) * static_cast<double>(row[column]);
    }
    to.resize(dim);
    for (std::size_t column = 0; column < dim; ++column) to[column] = static_cast<float>(sums[column]);
}

void Fusion::vision(const Embeddings& vision, float* to) const {
    check(vision, vision_dim(), "vision");
    std::vector<float> pooled;
    pool(vision_attention_, vision, vision_dim(), pooled);
    vision_project_.apply(pooled.data(), to);
    check_result(to, model_dim(), "vision");
}

void Fusion::audio(const Embeddings& audio, float* to) const {
    check(audio, audio_dim(), "audio");
    std::vector<float> pooled;
    pool(audio_attention_, audio, audio_dim(), pooled);
    audio_project_.apply(pooled.data(), to);
    check_result(to, model_dim(), "audio");
}

void Fusion::multi(const Embeddings& vision, const Embeddings& audio, float* to) const {
    check(vision, vision_dim(), "vision");
    check(audio, audio_dim(), "audio");
    const std::size_t widest = multi_project_.columns;
    std::vector<float> averaged;
    std::vector<float> both(2 * widest);  // [v; a]
    mean(vision, vision_dim(), averaged);
    vision_embed_.apply(averaged.data(), both.data());
    mean(audio, audio_dim(), averaged);
    audio_embed_.apply(averaged.data(), both.data() + widest);
    float gates[2] = {0.5f, 0.5f};
    if (kind_ == FusionKind::attention) gate_.apply(both.data(), gates);
    std::vector<float> mixed(widest);
    for (std::size_t column = 0; column < widest; ++column)
        mixed[column] = gates[0] * both[column] + gates[1] * both[widest + column];
    multi_project_.apply(mixed.data(), to);
    check_result(to, model_dim(), "multi");
}

}  // namespace emer
