/* Times in nanoseconds, counted in buckets whose width is at most 1/1024 of their value (or 1 microsecond). */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BITS = 10, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS) << HISTOGRAM_BITS };

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t highest;
};

void histogram_add(struct histogram *histogram, int64_t nanoseconds);

/* The value in microseconds that `share` (0 to 1) of all values do not exceed; 0 when there are none. */
double histogram_quantile(const struct histogram *histogram, double share);

#endif
