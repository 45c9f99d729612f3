// Gradient hooks on leaves, for Rust to see gradients while backward still runs.
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collective.h"
#include "guarded.hpp"

namespace {

// Hooks are removed by their number on the tensor that has them.
class Hooks {
 public:
  void place(const at::Tensor& leaf, size_t number, lethe_gradient_ready ready, void* context) {
    auto hook = [=](const at::Tensor& found) {
      if (!found.defined()) return found;
      at::Tensor gradient = found;
      void* replacement = nullptr;
      TORCH_CHECK(ready(context, number, &gradient, &replacement) == LETHE_OK, "a gradient could not be taken over");
      std::unique_ptr<at::Tensor> owned(static_cast<at::Tensor*>(replacement));
      return at::Tensor(*owned);
    };
    placed_.emplace_back(leaf, leaf.register_hook(hook));
  }

  ~Hooks() {
    for (const auto& [leaf, number] : placed_) leaf.remove_hook(number);
  }

 private:
  std::vector<std::pair<at::Tensor, unsigned>> placed_;
};

}  // namespace

extern "C" {

int lethe_hooks_new(void* const* leaves, size_t count, lethe_gradient_ready ready, void* context, void** hooks) {
  return lethe::guarded([&] {
    auto all = std::make_unique<Hooks>();
    for (size_t leaf = 0; leaf < count; leaf++) {
      all->place(*static_cast<at::Tensor*>(leaves[leaf]), leaf, ready, context);
    }
    *hooks = all.release();
  });
}

void lethe_hooks_free(void* hooks) { delete static_cast<Hooks*>(hooks); }

}  // extern "C"
