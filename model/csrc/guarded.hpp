// What keeps exceptions on the C++ side: each becomes a code and this thread's error text.
#pragma once
#include <exception>
#include <string>

#include <c10/util/Exception.h>

namespace lethe::model {

inline thread_local std::string last_error;

template <class Body>
int guarded(Body&& body) {
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an exception of unknown type";
  }
  return -1;
}

}  // namespace lethe::model
