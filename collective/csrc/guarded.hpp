// What keeps exceptions on the C++ side: each becomes a code and this thread's error text.
// In a header since two shared objects have it, each with a text of its own.
#pragma once
#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <typeinfo>

#include <c10/util/Exception.h>

#include "collective.h"

namespace lethe {

inline thread_local std::string last_error;

inline std::string type_name(const std::exception& error) {
  int status = 0;
  char* name = abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, &status);
  std::string text = name ? name : typeid(error).name();
  std::free(name);
  return text;
}

// Gloo throws one IoException for a time-out and for a lost connection alike, and its headers are not part of
// libtorch: only the text tells them apart.
inline int classify(const std::string& type, const std::string& message) {
  auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (type == "c10d::TimeoutError" || says("imed out") || says("imeout")) return LETHE_TIMED_OUT;
  if (says("onnection") || says("ocket") || says("remote process")) return LETHE_PEER_LOST;
  return type.rfind("gloo::IoException", 0) == 0 ? LETHE_PEER_LOST : LETHE_OTHER;
}

inline int remember(const std::exception& error) {
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

}  // namespace lethe
