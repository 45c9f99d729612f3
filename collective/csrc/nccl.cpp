// c10d's NCCL as a group of group.hpp, in a shared object of its own: whoever has no CUDA never opens it.
// Its symbols come from libtorch_cuda.so, which must be loaded before. Nothing in it has run on a GPU.
#include <cstdlib>
#include <mutex>

#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "callback_store.hpp"
#include "group.hpp"
#include "guarded.hpp"

namespace {

using std::chrono::milliseconds;

// Read by c10d when a group is made. By default an NCCL error or a stuck watchdog takes the process down, and with
// it what the survivors would rebuild from. Set over the environment's own values, since we rest on them; once,
// since setenv races with another thread's getenv.
void keep_the_process_alive() {
  // Errors clean up the communicators and reach whoever waits; no tearing down.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2", 1);
  // No thread that aborts the process when the watchdog is stuck: the agent decides that.
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 1);
  // A CUDA error in the watchdog's thread has nobody to catch it.
  setenv("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0", 1);
  // No wait for a dump of the flight recorder before the error is told.
  setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", 1);
  // With blocking waits on, c10d has no watchdog; we give Work::wait a time instead.
  unsetenv("TORCH_NCCL_BLOCKING_WAIT");
  unsetenv("NCCL_BLOCKING_WAIT");
}

// NCCL's own rendezvous has no deadline: the caller knows every rank to be there, each on a GPU of its own.
lethe::Group new_nccl(lethe_store store, int rank, int world_size, int device, milliseconds timeout) {
  auto keys = c10::make_intrusive<lethe::CallbackStore>(store, timeout);
  static std::once_flag once;
  std::call_once(once, keep_the_process_alive);
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(keys, rank, world_size, options);
  at::Device gpu(c10::kCUDA, static_cast<c10::DeviceIndex>(device));
  // Otherwise a barrier guesses the device from the rank.
  backend->setBoundDeviceId(gpu);
  // Connects now, as Gloo does, and not in the first operation.
  backend->eagerConnectSingleDevice(gpu);
  return {backend, timeout};
}

}  // namespace

#define LETHE_EXPORT extern "C" __attribute__((visibility("default")))

LETHE_EXPORT const char* lethe_nccl_last_error() { return lethe::last_error.c_str(); }

LETHE_EXPORT int lethe_nccl_devices() {
  int devices = 0;
  lethe::guarded([&] { devices = c10::cuda::device_count(); });
  return devices;
}

LETHE_EXPORT int lethe_nccl_new(lethe_store store, int rank, int world_size, int device, int64_t timeout_ms,
                                void** group) {
  return lethe::guarded([&] {
    *group = new lethe::Group(new_nccl(store, rank, world_size, device, milliseconds(timeout_ms)));
  });
}
