// c10d behind the C interface of collective.h. Only the construction of a group knows that it is Gloo's.
#include "collective.h"

#include <string>
#include <utility>
#include <vector>

#include <gloo/context.h>
#include <gloo/transport/tcp/pair.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/exception.h>

#include "callback_store.hpp"
#include "group.hpp"
#include "guarded.hpp"

namespace {

using lethe::Group;
using lethe::guarded;
using lethe::Work;
using std::chrono::milliseconds;

Group& as_group(void* group) { return *static_cast<Group*>(group); }
Work& as_work(void* work) { return *static_cast<Work*>(work); }
const at::Tensor& as_tensor(void* tensor) { return *static_cast<at::Tensor*>(tensor); }

using Contexts = std::vector<std::shared_ptr<gloo::Context>>;

// Tells every connection that it is broken, as Gloo itself does when an operation times out.
void close_all(const Contexts& contexts, int world_size) {
  for (const auto& context : contexts) {
    for (int peer = 0; peer < world_size; peer++) {
      // The devices that c10d makes are TCP's.
      auto* pair = static_cast<gloo::transport::tcp::Pair*>(context->getPair(peer).get());
      if (pair) pair->signalExceptionExternal("Connection closed by this rank, whose group is of no more use");
    }
  }
}

// Several operations as one. All parts are waited for in order; the first that fails is its failure.
class All final : public c10d::Work {
 public:
  explicit All(std::vector<c10::intrusive_ptr<c10d::Work>> parts) : parts_(std::move(parts)) {}

  bool wait(milliseconds timeout) override {
    for (const auto& part : parts_) part->wait(timeout);
    return true;
  }

 private:
  std::vector<c10::intrusive_ptr<c10d::Work>> parts_;
};

// c10d's Gloo with the abort that it lacks. Gloo tells a lost peer to the operations that wait for that peer; with
// several in flight, one of a survivor's was seen to wait on for the group's whole time-out while the others had failed.
// So the first that fails ends all, whichever the caller waits for.
class Gloo final : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;

  void abort() override { close_all(contexts_, getSize()); }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override {
    auto work = ProcessGroupGloo::allreduce(tensors, options);
    // No share of this group: the callback runs on one of its threads, which may not be the one that ends it.
    work->getFuture()->addCallback([contexts = contexts_, world_size = getSize()](c10::ivalue::Future& future) {
      if (future.hasError()) close_all(contexts, world_size);
    });
    return work;
  }

  // From every rank to every other, the bytes of c10d's ring. Its own gathers into a buffer that it frees before it
  // takes back what it told Gloo to receive: after a lost peer, another's bytes were written to freed memory. Here
  // each part holds its tensor for longer than Gloo's claim on it.
  c10::intrusive_ptr<c10d::Work> allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                           std::vector<at::Tensor>& inputs, const c10d::AllgatherOptions&) override {
    const int rank = getRank(), world_size = getSize();
    outputs[0][rank].copy_(inputs[0]);
    std::vector<c10::intrusive_ptr<c10d::Work>> parts;
    try {
      for (int away = 1; away < world_size && inputs[0].numel() > 0; away++) {
        const int next = (rank + away) % world_size, previous = (rank + world_size - away) % world_size;
        std::vector<at::Tensor> received{outputs[0][previous]};
        parts.push_back(recv(received, previous, kGatherTag));
        parts.push_back(send(inputs, next, kGatherTag));
      }
    } catch (...) {
      // A peer is known to be lost already: what was posted to the others must not keep them waiting.
      abort();
      throw;
    }
    return c10::make_intrusive<All>(std::move(parts));
  }

 private:
  // Of no other call: collectives mark their tags, and nothing else here sends to one rank.
  static constexpr int kGatherTag = 0;
};

// A failure is the group's end: what is in flight fails with it. The Work is dropped before the group can be:
// one that lives keeps sockets open, and peers of a broken group would wait for their whole time-out.
void finish(const Group& group, const c10::intrusive_ptr<c10d::Work>& work) {
  try {
    work->wait(group.wait);
  } catch (...) {
    group.backend->abort();
    throw;
  }
}

Group new_gloo(lethe_store store, int rank, int world_size, const std::string& host, milliseconds timeout) {
  auto keys = c10::make_intrusive<lethe::CallbackStore>(store, timeout);
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(host));
  return {c10::make_intrusive<Gloo>(keys, rank, world_size, options), milliseconds::zero()};
}

c10::intrusive_ptr<c10d::Work> start_all_reduce(const Group& group, void* tensor) {
  std::vector<at::Tensor> tensors{as_tensor(tensor)};
  return group.backend->allreduce(tensors);
}

}  // namespace

extern "C" {

void lethe_sink_write(void* sink, const uint8_t* bytes, size_t count) {
  static_cast<std::string*>(sink)->assign(reinterpret_cast<const char*>(bytes), count);
}

const char* lethe_last_error(void) { return lethe::last_error.c_str(); }

int lethe_gloo_new(lethe_store store, int rank, int world_size, const char* host, int64_t timeout_ms, void** group) {
  return guarded([&] { *group = new Group(new_gloo(store, rank, world_size, host, milliseconds(timeout_ms))); });
}

int lethe_group_abort(void* group) {
  return guarded([&] { as_group(group).backend->abort(); });
}

void lethe_group_free(void* group) { delete static_cast<Group*>(group); }

int lethe_all_reduce_sum(void* group, void* tensor) {
  return guarded([&] { finish(as_group(group), start_all_reduce(as_group(group), tensor)); });
}

int lethe_start_all_reduce_sum(void* group, void* tensor, void** work) {
  return guarded([&] { *work = new Work{start_all_reduce(as_group(group), tensor), as_group(group).wait}; });
}

int lethe_work_wait(void* work) {
  return guarded([&] { as_work(work).work->wait(as_work(work).wait); });
}

void lethe_work_free(void* work) {
  // Without a time Gloo waits for the operation's end, and NCCL lets the caller's stream wait for it: nobody
  // sees the tensor while it is written. A failure was told to whoever waited, or nobody wants to know.
  guarded([&] { as_work(work).work->wait(); });
  delete static_cast<Work*>(work);
}

int lethe_broadcast(void* group, void* tensor, int root) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{as_tensor(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    finish(as_group(group), as_group(group).backend->broadcast(tensors, options));
  });
}

int lethe_all_gather(void* group, void* const* outputs, size_t count, void* input) {
  return guarded([&] {
    std::vector<std::vector<at::Tensor>> gathered(1);
    for (size_t rank = 0; rank < count; rank++) gathered[0].push_back(as_tensor(outputs[rank]));
    std::vector<at::Tensor> inputs{as_tensor(input)};
    finish(as_group(group), as_group(group).backend->allgather(gathered, inputs));
  });
}

int lethe_barrier(void* group) {
  return guarded([&] { finish(as_group(group), as_group(group).backend->barrier()); });
}

}  // extern "C"
