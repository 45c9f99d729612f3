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

// Takes the store over, whatever the outcome.
int lethe_group_new(lethe_store store, int rank, int world_size, const char* host, int64_t timeout_ms, void** group);
void lethe_group_free(void* group);

// Each waits until the operation ended or the group's time-out passed. Tensors are at::Tensor*, as tch holds them.
int lethe_all_reduce_sum(void* group, void* tensor);
int lethe_broadcast(void* group, void* tensor, int root);
int lethe_all_gather(void* group, void* const* outputs, size_t count, void* input);
int lethe_barrier(void* group);

#ifdef __cplusplus
}
#endif
