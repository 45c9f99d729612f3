#pragma once
#include <exception>
#include <string>
namespace gloo::transport {
class Pair { // never constructed or sized here; the first base of tcp::Pair, as in Gloo
 public:
  virtual ~Pair() = 0;
};
namespace tcp {
class Pair : public ::gloo::transport::Pair {
 public:
  std::exception_ptr signalExceptionExternal(const std::string& msg);
};
}
}
