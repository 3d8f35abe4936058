/* Twin of `split` in transports/frames.py, which has the contract. */
#include "native.h"

#include <stdbool.h>
#include <stdint.h>

enum { TEXT = 0x81, BINARY = 0x82, MASKED = 0x80, MASK_SIZE = 4 };

/* Complete frame of the common case from a client. */
struct frame {
    int opcode;
    const unsigned char *mask;
    const unsigned char *payload;
    Py_ssize_t length;
};

/* Parse the frame at `at`; return false when it is incomplete, uncommon, or above the limit. */
static bool read_frame(const unsigned char *at, const unsigned char *end, Py_ssize_t limit, struct frame *found)
{
    Py_ssize_t available = end - at;
    if (available < 2 || (at[0] != TEXT && at[0] != BINARY) || !(at[1] & MASKED))
        return false;
    uint64_t length = at[1] & 0x7F;
    Py_ssize_t header = 2;
    if (length >= 126) {
        int bytes = length == 126 ? 2 : 8;
        header += bytes;
        if (available < header)
            return false;
        length = 0;
        for (int i = 0; i < bytes; i++)
            length = length << 8 | at[2 + i];
    }
    if (length > (uint64_t)limit || available - header < MASK_SIZE + (Py_ssize_t)length)
        return false;
    *found = (struct frame){at[0] & 0x0F, at + header, at + header + MASK_SIZE, (Py_ssize_t)length};
    return true;
}

/* Remove the mask; return true when all bytes are ASCII. */
static bool unmask(const struct frame *frame, unsigned char *target)
{
    uint64_t mask, word, high = 0;
    uint32_t half;
    memcpy(&half, frame->mask, sizeof half);
    mask = (uint64_t)half << 32 | half;
    Py_ssize_t i = 0;
    for (; i + 8 <= frame->length; i += 8) {
        memcpy(&word, frame->payload + i, sizeof word);
        word ^= mask;
        high |= word;
        memcpy(target + i, &word, sizeof word);
    }
    for (; i < frame->length; i++) {
        target[i] = frame->payload[i] ^ frame->mask[i & 3];
        high |= target[i];
    }
    return !(high & 0x8080808080808080u);
}

static bool is_utf8(PyObject *payload)
{
    PyObject *text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), NULL);
    if (text == NULL) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(text);
    return true;
}

/* Return the payload as bytes; NULL without an exception for text that is not UTF-8. */
static PyObject *payload_of(const struct frame *frame)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, frame->length);
    if (payload == NULL)
        return NULL;
    bool ascii = unmask(frame, (unsigned char *)PyBytes_AS_STRING(payload));
    if (frame->opcode == (TEXT & 0x0F) && !ascii && !is_utf8(payload))
        Py_CLEAR(payload);
    return payload;
}

static int append(PyObject *messages, const struct frame *frame, PyObject *payload)
{
    PyObject *opcode = PyLong_FromLong(frame->opcode);
    if (opcode == NULL)
        return -1;
    PyObject *message = PyTuple_Pack(2, opcode, payload);
    Py_DECREF(opcode);
    if (message == NULL)
        return -1;
    int result = PyList_Append(messages, message);
    Py_DECREF(message);
    return result;
}

/* Fill `messages`; return the number of bytes taken, -1 with an exception. */
static Py_ssize_t split_into(PyObject *messages, const Py_buffer *data, Py_ssize_t limit)
{
    const unsigned char *begin = data->buf, *at = begin, *end = begin + data->len;
    struct frame frame;
    while (read_frame(at, end, limit, &frame)) {
        PyObject *payload = payload_of(&frame);
        if (payload == NULL) {
            if (PyErr_Occurred())
                return -1;
            break;
        }
        int result = append(messages, &frame, payload);
        Py_DECREF(payload);
        if (result < 0)
            return -1;
        at = frame.payload + frame.length;
    }
    return at - begin;
}

static PyObject *split(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "split takes data and a limit");
        return NULL;
    }
    Py_ssize_t limit = PyLong_AsSsize_t(arguments[1]);
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    Py_buffer data;
    if (PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *messages = PyList_New(0);
    Py_ssize_t taken = messages == NULL ? -1 : split_into(messages, &data, limit);
    PyBuffer_Release(&data);
    if (taken < 0) {
        Py_XDECREF(messages);
        return NULL;
    }
    return Py_BuildValue("Nn", messages, taken);
}

static PyMethodDef functions[] = {
    {"split", (PyCFunction)(void (*)(void))split, METH_FASTCALL, NULL},
    {NULL},
};

int add_frames(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
