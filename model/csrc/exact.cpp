#include <ATen/Context.h>

#include "guarded.hpp"
#include "model.h"

extern "C" {

int lethe_exact_cuda() {
  return lethe::model::guarded([] {
    auto& context = at::globalContext();
    context.setAllowTF32CuBLAS(false);
    context.setAllowTF32CuDNN(false);
    context.setBenchmarkCuDNN(false);
    // Where there is only one kernel it is taken with a warning: a training has its tolerance.
    context.setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/true);
    // It would write all memory that is not yet written, for those who read it by mistake.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

}  // extern "C"
