/* Twin of transports/outbox.py, which has the contracts. */
#include "native.h"

#include <errno.h>
#include <stdbool.h>
#include <structmember.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { NO_DESCRIPTOR = -1, GATHERED = 64 };

typedef struct {
    PyObject_HEAD
    PyObject *call_soon;
    PyObject *due; /* list of outboxes */
    Py_ssize_t limit;
    unsigned long long messages_sent;
    unsigned long long bytes_sent;
    Py_ssize_t bytes_waiting;
} Flusher;

typedef struct {
    PyObject_HEAD
    Flusher *flusher;
    PyObject *transport; /* NULL before begin and after stop */
    PyObject *first;     /* first waiting frame, usually the only one */
    PyObject *more;      /* list of the other waiting frames, or NULL */
    Py_ssize_t waiting;
    unsigned long long written;
    int descriptor;
    bool behind; /* true while the transport may have unsent bytes */
    bool due;
    bool stopped;
} Outbox;

static PyTypeObject FlusherType;
static PyTypeObject OutboxType;
static PyObject *name_flush, *name_write, *name_get_write_buffer_size, *name_on_overflow;

/* outbox */

static void forget(Outbox *self)
{
    self->flusher->bytes_waiting -= self->waiting;
    self->waiting = 0;
    Py_CLEAR(self->first);
    Py_CLEAR(self->more);
}

static void stop(Outbox *self)
{
    self->stopped = true;
    self->descriptor = NO_DESCRIPTOR;
    if (self->flusher != NULL)
        forget(self);
    Py_CLEAR(self->transport);
}

/* Return the number of bytes that the transport has not sent; -1 with an exception. */
static Py_ssize_t unsent(Outbox *self)
{
    if (self->transport == NULL) {
        self->behind = false;
        return 0;
    }
    PyObject *size = PyObject_CallMethodNoArgs(self->transport, name_get_write_buffer_size);
    if (size == NULL)
        return -1;
    Py_ssize_t found = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (found == -1 && PyErr_Occurred())
        return -1;
    self->behind = found > 0;
    return found;
}

/* Return the waiting frames joined to one object, as a new reference. */
static PyObject *joined(Outbox *self)
{
    if (self->more == NULL)
        return Py_NewRef(self->first);
    PyObject *all = PyBytes_FromStringAndSize(NULL, self->waiting);
    if (all == NULL)
        return NULL;
    char *end = PyBytes_AS_STRING(all);
    memcpy(end, PyBytes_AS_STRING(self->first), (size_t)PyBytes_GET_SIZE(self->first));
    end += PyBytes_GET_SIZE(self->first);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->more); i++) {
        PyObject *frame = PyList_GET_ITEM(self->more, i);
        memcpy(end, PyBytes_AS_STRING(frame), (size_t)PyBytes_GET_SIZE(frame));
        end += PyBytes_GET_SIZE(frame);
    }
    return all;
}

/* Return the number of bytes that the kernel took; 0 also when the connection is broken, which the loop notices.
   The GIL is held: the call does not block, and is made for many connections in a row. */
static Py_ssize_t send_now(int descriptor, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;
    do
        sent = count == 1 ? send(descriptor, parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? 0 : sent;
}

static struct iovec part_of(PyObject *bytes)
{
    return (struct iovec){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
}

/* Send the waiting frames to the kernel; set `all` to the joined frames if joining was needed. -1 with an exception. */
static Py_ssize_t send_frames(Outbox *self, PyObject **all)
{
    struct iovec parts[GATHERED];
    size_t count = 1;
    Py_ssize_t others = self->more == NULL ? 0 : PyList_GET_SIZE(self->more);
    if (others >= GATHERED) {
        *all = joined(self);
        if (*all == NULL)
            return -1;
        parts[0] = part_of(*all);
    } else {
        parts[0] = part_of(self->first);
        for (Py_ssize_t i = 0; i < others; i++)
            parts[count++] = part_of(PyList_GET_ITEM(self->more, i));
    }
    return send_now(self->descriptor, parts, count);
}

/* Pass the bytes that the kernel did not take to the transport. */
static int hand_over(Outbox *self, PyObject *all, Py_ssize_t sent)
{
    PyObject *rest = sent == 0 ? Py_NewRef(all)
                               : PyBytes_FromStringAndSize(PyBytes_AS_STRING(all) + sent, PyBytes_GET_SIZE(all) - sent);
    if (rest == NULL)
        return -1;
    PyObject *transport = Py_NewRef(self->transport);
    self->behind = true;
    forget(self);
    PyObject *done = PyObject_CallMethodOneArg(transport, name_write, rest);
    Py_DECREF(transport);
    Py_DECREF(rest);
    if (done == NULL)
        return -1;
    Py_DECREF(done);
    return 0;
}

static int flush(Outbox *self)
{
    self->due = false;
    if (self->transport == NULL || self->first == NULL)
        return 0;
    Py_ssize_t size = self->waiting, sent = 0;
    PyObject *all = NULL;
    bool direct = self->descriptor >= 0;
    if (direct && self->behind) {
        Py_ssize_t before = unsent(self);
        if (before < 0)
            return -1;
        if (self->first == NULL)
            return 0; /* stopped by the transport within the call */
        direct = before == 0;
    }
    if (direct) {
        sent = send_frames(self, &all);
        if (sent < 0)
            return -1;
    }
    self->flusher->bytes_sent += (unsigned long long)size;
    int result = 0;
    if (sent == size)
        forget(self);
    else if (all == NULL && (all = joined(self)) == NULL)
        result = -1;
    else
        result = hand_over(self, all, sent);
    Py_XDECREF(all);
    return result;
}

static int schedule(Outbox *self)
{
    Flusher *flusher = self->flusher;
    if (flusher->call_soon == NULL)
        return 0; /* the loop is gone */
    if (PyList_GET_SIZE(flusher->due) == 0) {
        PyObject *method = PyObject_GetAttr((PyObject *)flusher, name_flush);
        if (method == NULL)
            return -1;
        PyObject *handle = PyObject_CallOneArg(flusher->call_soon, method);
        Py_DECREF(method);
        if (handle == NULL)
            return -1;
        Py_DECREF(handle);
    }
    if (PyList_Append(flusher->due, (PyObject *)self) < 0)
        return -1;
    self->due = true;
    return 0;
}

static int keep(Outbox *self, PyObject *frames)
{
    if (self->first == NULL) {
        self->first = Py_NewRef(frames);
        return 0;
    }
    if (self->more == NULL && (self->more = PyList_New(0)) == NULL)
        return -1;
    return PyList_Append(self->more, frames);
}

static PyObject *Outbox_write(Outbox *self, PyObject *frames)
{
    if (self->stopped)
        Py_RETURN_NONE;
    if (!PyBytes_CheckExact(frames)) {
        PyErr_Format(PyExc_TypeError, "frames must be bytes, not %.100s", Py_TYPE(frames)->tp_name);
        return NULL;
    }
    Flusher *flusher = self->flusher;
    if (flusher == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Outbox.__init__ was not called");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(frames);
    if (keep(self, frames) < 0)
        return NULL;
    self->waiting += size;
    self->written += (unsigned long long)size;
    flusher->bytes_waiting += size;
    flusher->messages_sent++;
    if (self->waiting > flusher->limit) {
        Py_ssize_t before = unsent(self);
        if (before < 0 || (before == 0 && flush(self) < 0))
            return NULL; /* a burst of one loop iteration: data that the kernel takes at once need not wait */
    }
    Py_ssize_t waiting = self->waiting;
    if (!self->due && self->behind) {
        Py_ssize_t before = unsent(self);
        if (before < 0)
            return NULL;
        waiting += before;
    }
    if (waiting > flusher->limit) {
        stop(self);
        return PyObject_CallMethodNoArgs((PyObject *)self, name_on_overflow);
    }
    if (self->first != NULL && !self->due && self->transport != NULL && schedule(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *Outbox_begin(Outbox *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "begin takes a transport and a descriptor");
        return NULL;
    }
    long descriptor = PyLong_AsLong(arguments[1]);
    if (descriptor == -1 && PyErr_Occurred())
        return NULL;
    Py_XSETREF(self->transport, Py_NewRef(arguments[0]));
    self->descriptor = (int)descriptor;
    self->behind = true;
    Py_RETURN_NONE;
}

static PyObject *Outbox_stop(Outbox *self, PyObject *Py_UNUSED(ignored))
{
    stop(self);
    Py_RETURN_NONE;
}

static PyObject *Outbox_flush(Outbox *self, PyObject *Py_UNUSED(ignored))
{
    if (flush(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *Outbox_on_overflow(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static int Outbox_init(Outbox *self, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"flusher", NULL};
    PyObject *flusher;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "O!", known, &FlusherType, &flusher))
        return -1;
    Py_XSETREF(self->flusher, (Flusher *)Py_NewRef(flusher));
    self->descriptor = NO_DESCRIPTOR;
    return 0;
}

static int Outbox_traverse(Outbox *self, visitproc visit, void *arg)
{
    Py_VISIT(self->flusher);
    Py_VISIT(self->transport);
    return 0;
}

static int Outbox_clear(Outbox *self)
{
    stop(self);
    return 0;
}

static void Outbox_dealloc(Outbox *self)
{
    PyObject_GC_UnTrack(self);
    stop(self);
    Py_CLEAR(self->flusher);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef outbox_methods[] = {
    {"begin", (PyCFunction)(void (*)(void))Outbox_begin, METH_FASTCALL, NULL},
    {"stop", (PyCFunction)Outbox_stop, METH_NOARGS, NULL},
    {"write", (PyCFunction)Outbox_write, METH_O, NULL},
    {"flush", (PyCFunction)Outbox_flush, METH_NOARGS, NULL},
    {"on_overflow", Outbox_on_overflow, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef outbox_members[] = {
    {"stopped", T_BOOL, offsetof(Outbox, stopped), READONLY, NULL},
    {"waiting", T_PYSSIZET, offsetof(Outbox, waiting), READONLY, NULL},
    {"written_bytes", T_ULONGLONG, offsetof(Outbox, written), READONLY, NULL},
    {NULL},
};

static PyTypeObject OutboxType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "realtime_server._native.Outbox",
    .tp_basicsize = sizeof(Outbox),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Outbox_init,
    .tp_dealloc = (destructor)Outbox_dealloc,
    .tp_traverse = (traverseproc)Outbox_traverse,
    .tp_clear = (inquiry)Outbox_clear,
    .tp_methods = outbox_methods,
    .tp_members = outbox_members,
};

/* flusher */

/* Flush all outboxes that are due, even after a failure; raise the first error at the end. */
static PyObject *Flusher_flush(Flusher *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *due = self->due;
    if (due == NULL)
        Py_RETURN_NONE; /* Flusher.__init__ was not called */
    self->due = PyList_New(0);
    if (self->due == NULL) {
        self->due = due;
        return NULL;
    }
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(due); i++) {
        if (flush((Outbox *)PyList_GET_ITEM(due, i)) == 0)
            continue;
        if (type == NULL)
            PyErr_Fetch(&type, &value, &traceback);
        else
            PyErr_Clear();
    }
    Py_DECREF(due);
    if (type != NULL) {
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    Py_RETURN_NONE;
}

static int Flusher_init(Flusher *self, PyObject *arguments, PyObject *names)
{
    static char *known[] = {"call_soon", "limit", NULL};
    PyObject *call_soon;
    Py_ssize_t limit;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "On", known, &call_soon, &limit))
        return -1;
    PyObject *due = PyList_New(0);
    if (due == NULL)
        return -1;
    Py_XSETREF(self->call_soon, Py_NewRef(call_soon));
    Py_XSETREF(self->due, due);
    self->limit = limit;
    return 0;
}

static int Flusher_traverse(Flusher *self, visitproc visit, void *arg)
{
    Py_VISIT(self->call_soon);
    Py_VISIT(self->due);
    return 0;
}

/* `due` stays a list, because outboxes may be written to while the cycle is being collected. */
static int Flusher_clear(Flusher *self)
{
    Py_CLEAR(self->call_soon);
    if (self->due != NULL)
        return PyList_SetSlice(self->due, 0, PyList_GET_SIZE(self->due), NULL);
    return 0;
}

static void Flusher_dealloc(Flusher *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->call_soon);
    Py_CLEAR(self->due);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef flusher_methods[] = {
    {"flush", (PyCFunction)Flusher_flush, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef flusher_members[] = {
    {"limit", T_PYSSIZET, offsetof(Flusher, limit), READONLY, NULL},
    {"messages_sent", T_ULONGLONG, offsetof(Flusher, messages_sent), READONLY, NULL},
    {"bytes_sent", T_ULONGLONG, offsetof(Flusher, bytes_sent), READONLY, NULL},
    {"bytes_waiting", T_PYSSIZET, offsetof(Flusher, bytes_waiting), READONLY, NULL},
    {NULL},
};

static PyTypeObject FlusherType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "realtime_server._native.Flusher",
    .tp_basicsize = sizeof(Flusher),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Flusher_init,
    .tp_dealloc = (destructor)Flusher_dealloc,
    .tp_traverse = (traverseproc)Flusher_traverse,
    .tp_clear = (inquiry)Flusher_clear,
    .tp_methods = flusher_methods,
    .tp_members = flusher_members,
};

int add_outbox(PyObject *module)
{
    name_flush = PyUnicode_InternFromString("flush");
    name_write = PyUnicode_InternFromString("write");
    name_get_write_buffer_size = PyUnicode_InternFromString("get_write_buffer_size");
    name_on_overflow = PyUnicode_InternFromString("on_overflow");
    if (name_flush == NULL || name_write == NULL || name_get_write_buffer_size == NULL || name_on_overflow == NULL)
        return -1;
    if (PyModule_AddType(module, &FlusherType) < 0)
        return -1;
    return PyModule_AddType(module, &OutboxType);
}
