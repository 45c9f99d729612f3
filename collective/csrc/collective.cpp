// c10d's Gloo behind the C interface of collective.h.
#include "collective.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <typeinfo>

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/exception.h>

#include "callback_store.hpp"

namespace {

using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;
using std::chrono::milliseconds;

thread_local std::string last_error;

std::string type_name(const std::exception& error) {
  int status = 0;
  char* name = abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status);
  std::string text = name ? name : typeid(error).name();
  std::free(name);
  return text;
}

// Gloo throws one IoException for a time-out and for a lost connection alike, and its headers are not part of
// libtorch: only the text tells them apart.
int classify(const std::string& type, const std::string& message) {
  auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (type == "c10d::TimeoutError" || says("imed out") || says("imeout")) return LETHE_TIMED_OUT;
  if (says("onnection") || says("ocket")) return LETHE_PEER_LOST;
  return type.rfind("gloo::IoException", 0) == 0 ? LETHE_PEER_LOST : LETHE_OTHER;
}

int remember(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string message = torch_error ? torch_error->what_without_backtrace() : error.what();
  last_error = message;
  return classify(type_name(error), message);
}

// Runs a body so that no exception crosses into Rust.
template <class Body>
int guarded(Body&& body) {
  try {
    body();
    return LETHE_OK;
  } catch (const std::exception& error) {
    return remember(error);
  } catch (...) {
    last_error = "an exception of unknown type";
    return LETHE_OTHER;
  }
}

Group& as_group(void* group) { return *static_cast<Group*>(group); }
const at::Tensor& as_tensor(void* tensor) { return *static_cast<at::Tensor*>(tensor); }

// The Work is dropped before the group can be: one that lives keeps sockets open, and peers of a broken group
// would wait for their whole time-out. No time-out here: the group's own is the only clock.
void finish(const c10::intrusive_ptr<c10d::Work>& work) { work->wait(); }

Group new_group(lethe_store store, int rank, int world_size, const std::string& host, milliseconds timeout) {
  auto keys = c10::make_intrusive<lethe::CallbackStore>(store, timeout);
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(host));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(keys, rank, world_size, options);
}

}  // namespace

extern "C" {

void lethe_sink_write(void* sink, const uint8_t* bytes, size_t count) {
  static_cast<std::string*>(sink)->assign(reinterpret_cast<const char*>(bytes), count);
}

const char* lethe_last_error(void) { return last_error.c_str(); }

int lethe_group_new(lethe_store store, int rank, int world_size, const char* host, int64_t timeout_ms, void** group) {
  return guarded([&] { *group = new Group(new_group(store, rank, world_size, host, milliseconds(timeout_ms))); });
}

void lethe_group_free(void* group) { delete static_cast<Group*>(group); }

int lethe_all_reduce_sum(void* group, void* tensor) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{as_tensor(tensor)};
    finish(as_group(group)->allreduce(tensors));
  });
}

int lethe_broadcast(void* group, void* tensor, int root) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{as_tensor(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    finish(as_group(group)->broadcast(tensors, options));
  });
}

int lethe_all_gather(void* group, void* const* outputs, size_t count, void* input) {
  return guarded([&] {
    std::vector<std::vector<at::Tensor>> gathered(1);
    for (size_t rank = 0; rank < count; rank++) gathered[0].push_back(as_tensor(outputs[rank]));
    std::vector<at::Tensor> inputs{as_tensor(input)};
    finish(as_group(group)->allgather(gathered, inputs));
  });
}

int lethe_barrier(void* group) {
  return guarded([&] { finish(as_group(group)->barrier()); });
}

}  // extern "C"
