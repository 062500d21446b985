// Encoder embeddings to soft tokens: the pooling, pre-fusion and projections of AffectGPT (arXiv 2501.16566).
// The object owns a copy of its weights and never changes after construction: any number of threads may enter.
//
//   vision = P_v (sum_t s_t h_v[t]),  s_t = w_v . h_v[t] + b_v        (audio alike)
//   v = E_v (mean_t h_v),  a = E_a (mean_t h_a)
//   g = F (M [v; a]),      multi = P_m (g_0 v + g_1 a)
//
// Every capital letter is a linear layer with bias; there is no softmax and no activation. Kind mean takes 1/T for
// every s_t and 1/2 for both g.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace emer {

enum class FusionKind { attention, mean };

// A weight as the caller holds it: row-major, not owned.
struct TensorView {
    const float* data = nullptr;
    std::vector<std::size_t> shape;
};

// Embeddings of one modality: steps x dim floats, row-major, not owned.
struct Embeddings {
    const float* data = nullptr;
    std::size_t steps = 0;
};

class Fusion {
public:
    // Takes the tensors of `kind` under their checkpoint names, Linear layout [out, in] and [out].
    // Throws Error(Kind::pack): one is missing or not of this kind, has another shape, or is not finite.
    Fusion(FusionKind kind, const std::map<std::string, TensorView>& tensors);

    std::size_t vision_dim() const noexcept { return vision_project_.columns; }
    std::size_t audio_dim() const noexcept { return audio_project_.columns; }
    std::size_t model_dim() const noexcept { return vision_project_.rows; }

    // Each writes model_dim floats. Throws Error(Kind::input): no steps, or numbers that are not finite; and
    // Error(Kind::pack) where the result overflows.
    void vision(const Embeddings& vision, float* to) const;
    void audio(const Embeddings& audio, float* to) const;
    void multi(const Embeddings& vision, const Embeddings& audio, float* to) const;

private:
    struct Linear {
        std::size_t rows = 0;
        std::size_t columns = 0;
        std::vector<float> weight;
        std::vector<float> bias;
        void apply(const float* from, float* to) const;
    };

    class Loader;
    void compose_gate(const Linear& attention, const Linear& gate);
    void pool(const Linear& attention, const Embeddings& from, std::size_t dim, std::vector<float>& to) const;

    FusionKind kind_;
    Linear vision_attention_, audio_attention_;
    Linear vision_project_, audio_project_, multi_project_;
    Linear vision_embed_, audio_embed_;
    Linear gate_;
};

}  // namespace emer
