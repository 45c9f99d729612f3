// The C interface to what libtorch exports and tch does not bind. Tensors are at::Tensor*, as tch holds them. Every int is 0,
// or -1 with the text of this thread's last failure in lethe_model_last_error(). No exception ever crosses it.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

const char* lethe_model_last_error(void);

typedef struct {
  double learning_rate, beta1, beta2, eps, weight_decay;
} lethe_adamw_settings;

// One step, in place and in one pass over memory, of flat tensors of one length, kind and device; `steps` counts this one
// and is one f32 on that device.
int lethe_adamw(void* weights, void* gradient, void* first_moment, void* second_moment, void* steps,
                const lethe_adamw_settings* settings);

// On CUDA, from now on and for the whole process: f32 is multiplied as f32 and not as TF32, and where an operation has a
// kernel that gives the same bits every time, that one is taken.
int lethe_exact_cuda(void);

// Autocast to bf16 on this thread, on the CPU or on CUDA, until it is freed by the same thread.
int lethe_autocast_new(int is_cuda, void** autocast);
void lethe_autocast_free(void* autocast);

#ifdef __cplusplus
}
#endif
