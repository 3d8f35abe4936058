#include "native.h"

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "realtime_server._native",
    .m_doc = "The hot path of the server in C: see transports/accelerated.py.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (add_outbox(module) < 0 || add_frames(module) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
