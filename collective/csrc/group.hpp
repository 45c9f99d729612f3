// A process group as Rust holds it, whichever backend it has: c10d's Backend is the seam.
#pragma once
#include <chrono>

#include <torch/csrc/distributed/c10d/Backend.hpp>

namespace lethe {

struct Group {
  c10::intrusive_ptr<c10d::Backend> backend;
  // What Work::wait is given. Zero for Gloo, whose operations end by the group's own time-out: a shorter wait
  // would leave them in flight. NCCL waits on the CPU only where a time is given, so it gets the group's.
  std::chrono::milliseconds wait;
};

// An operation in flight. It holds sockets open and a share of the tensor, so it must go before its group.
struct Work {
  c10::intrusive_ptr<c10d::Work> work;
  std::chrono::milliseconds wait;
};

}  // namespace lethe
