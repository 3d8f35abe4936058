/* Hot path of the server in C. Each part has a twin in Python with the contract; the same tests run against both. */
#ifndef REALTIME_NATIVE_H
#define REALTIME_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

int add_outbox(PyObject *module);
int add_frames(PyObject *module);

#endif
