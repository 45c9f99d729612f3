// A c10d::Store whose keys live on the Rust side. Defined in the header, since a second translation unit would
// parse all of torch's headers again (35 s).
#pragma once
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/exception.h>

#include "collective.h"

namespace lethe {

using std::chrono::milliseconds;

inline const uint8_t* bytes(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

inline void raise_unless_ok(int code, const std::string& message) {
  if (code == LETHE_TIMED_OUT) C10D_THROW_ERROR(TimeoutError, message);
  if (code != LETHE_OK) C10D_THROW_ERROR(DistStoreError, message);
}

class CallbackStore final : public c10d::Store {
 public:
  CallbackStore(lethe_store store, milliseconds timeout)
      : CallbackStore(std::shared_ptr<const lethe_store>(new lethe_store(store), release), timeout) {}

  CallbackStore(std::shared_ptr<const lethe_store> store, milliseconds timeout)
      : Store(timeout), store_(std::move(store)) {}

  c10::intrusive_ptr<Store> clone() override { return c10::make_intrusive<CallbackStore>(store_, timeout_); }

  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    std::string error;
    int code = store_->set(store_->context, bytes(key), key.size(), value.data(), value.size(), &error);
    raise_unless_ok(code, error);
  }

  std::vector<uint8_t> get(const std::string& key) override {
    std::string value = fetch(key, timeout_);
    return {value.begin(), value.end()};
  }

  int64_t add(const std::string& key, int64_t amount) override {
    std::string error;
    int64_t sum = 0;
    int code = store_->add(store_->context, bytes(key), key.size(), amount, &sum, &error);
    raise_unless_ok(code, error);
    return sum;
  }

  bool check(const std::vector<std::string>& keys) override {
    try {
      wait(keys, milliseconds::zero());
      return true;
    } catch (const c10d::TimeoutError&) {
      return false;
    }
  }

  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }

  void wait(const std::vector<std::string>& keys, const milliseconds& timeout) override {
    auto deadline = std::chrono::steady_clock::now() + timeout;
    for (const auto& key : keys) {
      fetch(key, std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()));
    }
  }

  bool deleteKey(const std::string&) override {
    C10_THROW_ERROR(NotImplementedError, "a generation's keys are never deleted one by one");
  }

  int64_t getNumKeys() override { C10_THROW_ERROR(NotImplementedError, "a generation's keys are not counted"); }

 private:
  static void release(const lethe_store* store) {
    store->release(store->context);
    delete store;
  }

  std::string fetch(const std::string& key, milliseconds timeout) const {
    std::string value, error;
    auto timeout_ms = static_cast<uint64_t>(std::max<int64_t>(0, timeout.count()));
    int code = store_->get(store_->context, bytes(key), key.size(), timeout_ms, &value, &error);
    raise_unless_ok(code, error);
    return value;
  }

  // Released with its last holder; clones share it.
  std::shared_ptr<const lethe_store> store_;
};

}  // namespace lethe
