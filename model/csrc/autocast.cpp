// Autocast to bf16 while an object lives: tch's own takes the dtype that is set, and has no way to set it (f16 on CUDA).
#include <ATen/autocast_mode.h>

#include "guarded.hpp"
#include "model.h"

namespace {

namespace cast = at::autocast;

// The settings are the thread's own, so the object is made and freed on one thread.
class Autocast {
 public:
  explicit Autocast(at::DeviceType device)
      : device_(device),
        was_enabled_(cast::is_autocast_enabled(device)),
        dtype_(cast::get_autocast_dtype(device)),
        was_cached_(cast::is_autocast_cache_enabled()) {
    cast::set_autocast_dtype(device_, at::kBFloat16);
    // A cast that was made without a graph would be handed to a pass that needs one.
    cast::set_autocast_cache_enabled(false);
    cast::set_autocast_enabled(device_, true);
  }

  ~Autocast() {
    cast::set_autocast_enabled(device_, was_enabled_);
    cast::set_autocast_cache_enabled(was_cached_);
    cast::set_autocast_dtype(device_, dtype_);
  }

 private:
  at::DeviceType device_;
  bool was_enabled_;
  at::ScalarType dtype_;
  bool was_cached_;
};

}  // namespace

extern "C" {

int lethe_autocast_new(int is_cuda, void** autocast) {
  return lethe::model::guarded([&] { *autocast = new Autocast(is_cuda ? at::kCUDA : at::kCPU); });
}

void lethe_autocast_free(void* autocast) { delete static_cast<Autocast*>(autocast); }

}  // extern "C"
