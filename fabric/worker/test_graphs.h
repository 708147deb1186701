// For tests: graphs of what real models are made of.
#pragma once

#include "fabric/worker/testing.h"

namespace caravan::fabric::worker::testing {

/// One quantized product.
inline ggml_tensor* product(ggml_context* c) {
  return ggml_mul_mat(c, leaf(c, "weight", GGML_TYPE_Q4_0, 64, 32), leaf(c, "input", GGML_TYPE_F32, 64, 3));
}

/// A layer with attention by softmax: norms, rotation, a context that is written row by row, and a gated
/// feed-forward.
inline ggml_tensor* layer(ggml_context* c, bool flash) {
  constexpr std::int64_t kWidth = 64;
  constexpr std::int64_t kHeads = 2;
  constexpr std::int64_t kHead = kWidth / kHeads;
  constexpr std::int64_t kTokens = 3;
  constexpr std::int64_t kContext = 16;
  ggml_tensor* tokens = leaf(c, "tokens", GGML_TYPE_I32, kTokens);
  ggml_tensor* input = ggml_get_rows(c, leaf(c, "embedding", GGML_TYPE_Q8_0, kWidth, 8), tokens);
  ggml_tensor* normed = ggml_mul(c, ggml_rms_norm(c, input, 1e-5F), leaf(c, "norm", GGML_TYPE_F32, kWidth));
  const auto project = [&](const char* name) {
    return ggml_reshape_3d(c, ggml_mul_mat(c, leaf(c, name, GGML_TYPE_Q4_0, kWidth, kWidth), normed), kHead,
                           kHeads, kTokens);
  };
  ggml_tensor* places = leaf(c, "rising places", GGML_TYPE_I32, kTokens);
  ggml_tensor* factors = leaf(c, "factors", GGML_TYPE_F32, kHead / 2);
  const auto rotate = [&](ggml_tensor* x) {
    return ggml_rope_ext(c, x, places, factors, kHead, GGML_ROPE_TYPE_NEOX, 0, 10000, 1, 0, 1, 32, 1);
  };
  ggml_tensor* q = rotate(project("q"));
  const auto remember = [&](const char* name, ggml_tensor* x) {
    ggml_tensor* memory = leaf(c, name, GGML_TYPE_F16, kWidth, kContext);
    ggml_tensor* rows = leaf(c, "rising rows", GGML_TYPE_I64, kTokens);
    ggml_tensor* written = ggml_set_rows(c, memory, ggml_reshape_2d(c, x, kWidth, kTokens), rows);
    return ggml_permute(c, ggml_reshape_3d(c, written, kHead, kHeads, kContext), 0, 2, 1, 3);
  };
  ggml_tensor* k = remember("k memory", rotate(project("k")));
  ggml_tensor* v = remember("v memory", project("v"));
  q = ggml_permute(c, q, 0, 2, 1, 3);
  ggml_tensor* mask = leaf(c, "mask", GGML_TYPE_F16, kContext, kTokens);
  ggml_tensor* seen = nullptr;
  if (flash) {
    seen = ggml_flash_attn_ext(c, q, k, v, mask, 0.2F, 0, 0);
  } else {
    ggml_tensor* scores = ggml_soft_max_ext(c, ggml_mul_mat(c, k, q), mask, 0.2F, 0);
    seen = ggml_mul_mat(c, ggml_cont(c, ggml_transpose(c, v)), scores);
    seen = ggml_cont(c, ggml_permute(c, seen, 0, 2, 1, 3));
  }
  seen = ggml_reshape_2d(c, seen, kWidth, kTokens);
  ggml_tensor* sum = ggml_add(c, ggml_mul_mat(c, leaf(c, "o", GGML_TYPE_Q4_0, kWidth, kWidth), seen), input);
  ggml_tensor* up = ggml_mul_mat(c, leaf(c, "up", GGML_TYPE_Q4_K, 256, 64),
                                 ggml_pad(c, sum, 256 - static_cast<int>(kWidth), 0, 0, 0));
  return ggml_add(c, ggml_swiglu_split(c, up, ggml_scale(c, sum, 0.5F)), sum);
}

/// Experts chosen by a sort.
inline ggml_tensor* experts(ggml_context* c) {
  constexpr std::int64_t kExperts = 32;
  ggml_tensor* input = leaf(c, "input", GGML_TYPE_F32, 64, 3);
  ggml_tensor* odds =
      ggml_soft_max(c, ggml_mul_mat(c, leaf(c, "router", GGML_TYPE_F32, 64, kExperts), input));
  ggml_tensor* chosen = ggml_argsort_top_k(c, odds, 2);
  ggml_tensor* weights = ggml_get_rows(c, ggml_reshape_3d(c, odds, 1, kExperts, 3), chosen);
  ggml_tensor* out = ggml_mul_mat_id(c, leaf(c, "experts", GGML_TYPE_Q4_0, 64, 32, kExperts),
                                     ggml_reshape_3d(c, input, 64, 1, 3), chosen);
  return ggml_sum_rows(c, ggml_mul(c, out, weights));
}

/// Copies between types and layouts.
inline ggml_tensor* copies(ggml_context* c) {
  ggml_tensor* values = leaf(c, "values", GGML_TYPE_F32, 64, 4);
  ggml_tensor* blocks = ggml_cpy(c, values, leaf(c, "blocks", GGML_TYPE_Q8_0, 64, 4));
  ggml_tensor* half = ggml_cast(c, ggml_permute(c, values, 1, 0, 2, 3), GGML_TYPE_F16);
  ggml_tensor* back = ggml_cont(c, ggml_transpose(c, ggml_cast(c, half, GGML_TYPE_F32)));
  ggml_tensor* all = ggml_concat(c, ggml_cast(c, blocks, GGML_TYPE_F32), back, 1);
  return ggml_concat(c, ggml_silu(c, all), ggml_repeat_4d(c, ggml_norm(c, values, 1e-5F), 64, 8, 1, 1), 0);
}

/// What sampling on a device is made of.
inline ggml_tensor* sampling(ggml_context* c) {
  ggml_tensor* odds = leaf(c, "odds", GGML_TYPE_F32, 96);
  ggml_tensor* best = ggml_top_k(c, odds, 8);
  ggml_tensor* rows = ggml_reshape_2d(c, odds, 1, 96);
  ggml_tensor* kept = ggml_reshape_1d(c, ggml_get_rows(c, rows, best), 8);
  ggml_tensor* sorted = ggml_argsort(c, kept, GGML_SORT_ORDER_DESC);
  kept = ggml_reshape_1d(c, ggml_get_rows(c, ggml_reshape_2d(c, kept, 1, 8), sorted), 8);
  ggml_tensor* sums = ggml_cumsum(c, ggml_soft_max(c, kept));
  ggml_tensor* over = ggml_step(c, ggml_scale_bias(c, sums, -1, 0.9F));
  ggml_tensor* none = ggml_fill(c, kept, -1e9F);
  kept = ggml_add(c, ggml_mul(c, kept, over), ggml_mul(c, none, ggml_scale_bias(c, over, -1, 1)));
  ggml_tensor* chosen =
      ggml_argmax(c, ggml_add(c, ggml_log(c, ggml_soft_max(c, kept)), ggml_arange(c, 0, 8, 1)));
  return ggml_get_rows(c, ggml_reshape_2d(c, best, 1, 8), chosen);
}

/// What is left over: other activations, norms, biases of experts, triangles, transforms.
inline ggml_tensor* odds_and_ends(ggml_context* c) {
  ggml_tensor* x = leaf(c, "x", GGML_TYPE_F32, 64, 64);
  ggml_tensor* y = ggml_geglu(c, ggml_concat(c, x, ggml_gelu(c, x), 0));
  y = ggml_l2_norm(c, ggml_add(c, y, ggml_tri(c, x, GGML_TRI_TYPE_LOWER_DIAG)), 1e-5F);
  ggml_tensor* turned = ggml_mul_mat(c, leaf(c, "hadamard", GGML_TYPE_F32, 64, 64), y);
  turned->op_params[1] = GGML_HINT_SRC0_IS_HADAMARD;
  y = ggml_clamp(c, ggml_sub(c, turned, ggml_sqr(c, x)), -1, 1);
  y = ggml_div(c, ggml_sin(c, y), ggml_scale_bias(c, ggml_cos(c, x), 1, 3));
  ggml_tensor* biased =
      ggml_add_id(c, ggml_reshape_3d(c, y, 64, 2, 32), leaf(c, "biases", GGML_TYPE_F32, 64, 4),
                  leaf(c, "ids", GGML_TYPE_I32, 2, 32));
  ggml_tensor* means = ggml_mean(c, biased);
  return ggml_add(c, ggml_reshape_2d(c, means, 64, 1), ggml_sum(c, biased));
}

/// A step of a recurrent model.
inline ggml_tensor* recurrent(ggml_context* c) {
  constexpr std::int64_t kState = 16;
  constexpr std::int64_t kHead = 8;
  constexpr std::int64_t kHeads = 4;
  constexpr std::int64_t kTokens = 3;
  ggml_tensor* x = ggml_ssm_conv(c, leaf(c, "window", GGML_TYPE_F32, 3 + kTokens, kHead * kHeads),
                                 leaf(c, "kernel", GGML_TYPE_F32, 4, kHead * kHeads));
  ggml_tensor* states = ggml_new_tensor_4d(c, GGML_TYPE_F32, kState, kHead, kHeads, 4);
  ggml_tensor* b = leaf(c, "b", GGML_TYPE_F32, kState, 2, kTokens);
  ggml_tensor* scan =
      ggml_ssm_scan(c, states, ggml_reshape_4d(c, x, kHead, kHeads, kTokens, 1),
                    leaf(c, "dt", GGML_TYPE_F32, kHeads, kTokens), leaf(c, "a", GGML_TYPE_F32, 1, kHeads), b,
                    b, leaf(c, "ids", GGML_TYPE_I32, 1), 1);
  return ggml_sqr(c, scan);
}

struct NamedGraph {
  const char* name;
  LocalGraph::Build build;
};
inline std::vector<NamedGraph> named_graphs() {
  return {{"product", &product},
          {"layer", [](ggml_context* c) { return layer(c, false); }},
          {"layer with flash attention", [](ggml_context* c) { return layer(c, true); }},
          {"experts", &experts},
          {"copies", &copies},
          {"sampling", &sampling},
          {"odds and ends", &odds_and_ends},
          {"recurrent", &recurrent}};
}

}  // namespace caravan::fabric::worker::testing
