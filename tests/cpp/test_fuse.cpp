// The fusion against the formulas written out in double precision, and inputs that must be refused.
#include "emer/fuse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.h"

using namespace emer;

namespace {

using Vector = std::vector<double>;

struct Weights {
    std::map<std::string, std::vector<float>> numbers;
    std::map<std::string, std::vector<std::size_t>> shapes;
    std::mt19937 random{7};

    std::vector<float> normal(std::size_t count, float scale) {
        std::normal_distribution<float> distribution(0, scale);
        std::vector<float> out(count);
        for (float& number : out) number = distribution(random);
        return out;
    }
    void linear(const std::string& name, std::size_t rows, std::size_t columns) {
        numbers[name + ".weight"] = normal(rows * columns, 1 / std::sqrt(static_cast<float>(columns)));
        shapes[name + ".weight"] = {rows, columns};
        numbers[name + ".bias"] = normal(rows, 0.1f);
        shapes[name + ".bias"] = {rows};
    }
    Weights(std::size_t vision, std::size_t audio, std::size_t model, bool attention) {
        const std::size_t widest = std::max(vision, audio);
        linear("affectgpt_proj", model, vision);
        linear("audio_llama_proj", model, audio);
        linear("multi_video_embs", widest, vision);
        linear("multi_audio_embs", widest, audio);
        linear("multi_llama_proj", model, widest);
        if (!attention) return;
        linear("video_attention_mlp", 1, vision);
        linear("audio_attention_mlp", 1, audio);
        linear("attention_mlp", widest, 2 * widest);
        linear("fc_att", 2, widest);
    }
    std::map<std::string, TensorView> views() const {
        std::map<std::string, TensorView> out;
        for (const auto& [name, values] : numbers) out[name] = {values.data(), shapes.at(name)};
        return out;
    }
    Vector apply(const std::string& name, const Vector& from) const {
        const auto& weight = numbers.at(name + ".weight");
        const auto& bias = numbers.at(name + ".bias");
        Vector out(bias.size());
        for (std::size_t row = 0; row < out.size(); ++row) {
            out[row] = bias[row];
            for (std::size_t column = 0; column < from.size(); ++column)
                out[row] += static_cast<double>(weight[row * from.size() + column]) * from[column];
        }
        return out;
    }
};

Vector step(const std::vector<float>& embeddings, std::size_t dim, std::size_t index) {
    const auto first = embeddings.begin() + static_cast<std::ptrdiff_t>(index * dim);
    return {first, first + static_cast<std::ptrdiff_t>(dim)};
}

// sum_t s_t h[t]; without a name of a layer every s_t is 1 / T.
Vector pooled(const Weights& weights, const std::string& layer, const std::vector<float>& embeddings, std::size_t dim) {
    const std::size_t steps = embeddings.size() / dim;
    Vector out(dim, 0.0);
    for (std::size_t t = 0; t < steps; ++t) {
        const Vector row = step(embeddings, dim, t);
        const double score = layer.empty() ? 1.0 / static_cast<double>(steps) : weights.apply(layer, row)[0];
        for (std::size_t column = 0; column < dim; ++column) out[column] += score * row[column];
    }
    return out;
}

bool close(const std::vector<float>& got, const Vector& expected) {
    double worst = 0;
    double largest = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
        largest = std::max(largest, std::abs(expected[i]));
    }
    return got.size() == expected.size() && worst <= 1e-5 * std::max(1.0, largest);
}

void equals_the_formulas(std::size_t vision_dim, std::size_t audio_dim, std::size_t model_dim, std::size_t seen,
                         std::size_t heard, bool attention) {
    Weights weights(vision_dim, audio_dim, model_dim, attention);
    const Fusion fusion(attention ? FusionKind::attention : FusionKind::mean, weights.views());
    CHECK(fusion.vision_dim() == vision_dim && fusion.audio_dim() == audio_dim && fusion.model_dim() == model_dim);
    const std::vector<float> vision = weights.normal(seen * vision_dim, 1);
    const std::vector<float> audio = weights.normal(heard * audio_dim, 1);
    std::vector<float> out(model_dim);
    fusion.vision({vision.data(), seen}, out.data());
    const std::string look = attention ? "video_attention_mlp" : "";
    CHECK(close(out, weights.apply("affectgpt_proj", pooled(weights, look, vision, vision_dim))));
    fusion.audio({audio.data(), heard}, out.data());
    const std::string listen = attention ? "audio_attention_mlp" : "";
    CHECK(close(out, weights.apply("audio_llama_proj", pooled(weights, listen, audio, audio_dim))));

    const Vector v = weights.apply("multi_video_embs", pooled(weights, "", vision, vision_dim));
    const Vector a = weights.apply("multi_audio_embs", pooled(weights, "", audio, audio_dim));
    Vector both = v;
    both.insert(both.end(), a.begin(), a.end());
    const Vector gates = attention ? weights.apply("fc_att", weights.apply("attention_mlp", both)) : Vector{0.5, 0.5};
    Vector mixed(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) mixed[i] = gates[0] * v[i] + gates[1] * a[i];
    fusion.multi({vision.data(), seen}, {audio.data(), heard}, out.data());
    CHECK(close(out, weights.apply("multi_llama_proj", mixed)));
}

void refuses_bad_weights() {
    for (const bool attention : {true, false}) {
        const FusionKind kind = attention ? FusionKind::attention : FusionKind::mean;
        const Weights sound(6, 4, 8, attention);
        for (const auto& [name, shape] : sound.shapes) {
            auto views = sound.views();
            views.erase(name);
            CHECK_THROWS(Fusion(kind, views));
            views = sound.views();
            views[name].shape.push_back(1);
            CHECK_THROWS(Fusion(kind, views));
            views = sound.views();
            views[name].shape[0] = 0;
            CHECK_THROWS(Fusion(kind, views));
            for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
                Weights broken = sound;
                broken.numbers[name].back() = bad;
                CHECK_THROWS(Fusion(kind, broken.views()));
            }
        }
        auto views = sound.views();
        views["unknown"] = views.begin()->second;
        CHECK_THROWS(Fusion(kind, views));
        views = sound.views();
        views["audio_llama_proj.weight"].shape = {4, 8};
        CHECK_THROWS(Fusion(kind, views));
    }
    CHECK_THROWS(Fusion(FusionKind::mean, Weights(6, 4, 8, true).views()));
}

void refuses_bad_embeddings() {
    const Weights weights(6, 4, 8, true);
    const Fusion fusion(FusionKind::attention, weights.views());
    std::vector<float> vision(12, 1.0f);
    std::vector<float> audio(8, 1.0f);
    std::vector<float> out(8);
    CHECK_THROWS(fusion.vision({vision.data(), 0}, out.data()));
    CHECK_THROWS(fusion.audio({audio.data(), 0}, out.data()));
    CHECK_THROWS(fusion.multi({vision.data(), 2}, {audio.data(), 0}, out.data()));
    audio[7] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS(fusion.audio({audio.data(), 2}, out.data()));
    CHECK_THROWS(fusion.multi({vision.data(), 2}, {audio.data(), 2}, out.data()));
    vision[0] = std::numeric_limits<float>::infinity();
    CHECK_THROWS(fusion.vision({vision.data(), 2}, out.data()));
    vision.assign(12, 3e38f);  // finite, but the result is not
    CHECK_THROWS(fusion.vision({vision.data(), 2}, out.data()));
}

}  // namespace

int main() {
    for (const bool attention : {true, false}) {
        equals_the_formulas(6, 4, 8, 8, 8, attention);
        equals_the_formulas(4, 6, 5, 1, 3, attention);
        equals_the_formulas(16, 16, 16, 2, 64, attention);
        equals_the_formulas(33, 17, 31, 5, 9, attention);
        equals_the_formulas(512, 768, 1024, 8, 8, attention);
    }
    refuses_bad_weights();
    refuses_bad_embeddings();
    return emer::test::failures();
}
