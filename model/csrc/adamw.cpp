// PyTorch's fused AdamW, which torch.optim.AdamW(fused=True) calls.
#include <ATen/ops/_fused_adamw.h>

#include "guarded.hpp"
#include "model.h"

extern "C" {

int lethe_adamw(void* weights, void* gradient, void* first_moment, void* second_moment, void* steps,
                const lethe_adamw_settings* settings) {
  return lethe::model::guarded([&] {
    auto list = [](void* tensor) { return at::TensorList(*static_cast<at::Tensor*>(tensor)); };
    at::_fused_adamw_(list(weights), list(gradient), list(first_moment), list(second_moment), {}, list(steps),
                      settings->learning_rate, settings->beta1, settings->beta2, settings->weight_decay, settings->eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  });
}

const char* lethe_model_last_error() { return lethe::model::last_error.c_str(); }

}  // extern "C"
