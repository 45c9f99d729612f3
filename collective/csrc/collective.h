// The C interface between Rust and c10d. Every int is 0 for success or one of the codes below; the
// text of this thread's last failure is lethe_last_error(). No exception ever crosses it.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LETHE_OK = 0,
  LETHE_OTHER = -1,
  LETHE_TIMED_OUT = -2,
  LETHE_PEER_LOST = -3,
};

// A store that Rust serves. A sink takes bytes once, through lethe_sink_write: a value or an error text.
// Functions may be called from any thread, and release once, when nobody uses the store any more.
typedef struct {
  void* context;
  int (*set)(void* context, const uint8_t* key, size_t key_bytes, const uint8_t* value, size_t value_bytes,
             void* error_sink);
  int (*get)(void* context, const uint8_t* key, size_t key_bytes, uint64_t timeout_ms, void* value_sink,
             void* error_sink);
  int (*add)(void* context, const uint8_t* key, size_t key_bytes, int64_t amount, int64_t* sum, void* error_sink);
  void (*release)(void* context);
} lethe_store;

void lethe_sink_write(void* sink, const uint8_t* bytes, size_t count);

const char* lethe_last_error(void);

// A group of either backend, and the operations below on it. Takes the store over, whatever the outcome.
int lethe_gloo_new(lethe_store store, int rank, int world_size, const char* host, int64_t timeout_ms, void** group);
// NCCL's half lives in a shared object of its own (nccl.cpp), which Rust opens at run time.
//   int lethe_nccl_new(lethe_store store, int rank, int world_size, int device, int64_t timeout_ms, void** group);
//   int lethe_nccl_devices(void);
//   const char* lethe_nccl_last_error(void);

// Ends what is in flight and closes the connections; nothing else may follow but works' and the group's end.
int lethe_group_abort(void* group);
void lethe_group_free(void* group);

// Each waits until the operation ended or the group's time-out passed. Tensors are at::Tensor*, as tch holds them.
int lethe_all_reduce_sum(void* group, void* tensor);
int lethe_broadcast(void* group, void* tensor, int root);
int lethe_all_gather(void* group, void* const* outputs, size_t count, void* input);
int lethe_barrier(void* group);

// Returns once the operation is queued. Every work is freed, before its group is; one that was not waited for is
// waited for then.
int lethe_start_all_reduce_sum(void* group, void* tensor, void** work);
int lethe_work_wait(void* work);
void lethe_work_free(void* work);

// Calls `ready` with each leaf's gradient as backward finds it, on the thread that runs this part of backward, and
// puts the tensor that it gives, and gives away, in the gradient's place. A code other than 0 fails backward. None is called after lethe_hooks_free.
typedef int (*lethe_gradient_ready)(void* context, size_t leaf, void* gradient, void** replacement);
int lethe_hooks_new(void* const* leaves, size_t count, lethe_gradient_ready ready, void* context, void** hooks);
void lethe_hooks_free(void* hooks);

#ifdef __cplusplus
}
#endif
