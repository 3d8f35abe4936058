/* The hot path of the server in C. Every part has a twin in Python that says what it does; both have the same tests. */
#ifndef REALTIME_NATIVE_H
#define REALTIME_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

int add_outbox(PyObject *module);
int add_frames(PyObject *module);

#endif
