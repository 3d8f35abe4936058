#include "histogram.h"

/* Values up to 2^HISTOGRAM_BITS have a bucket each; above, every doubling is cut into as many buckets again. */
static int bucket_of(uint64_t value)
{
    if (value < 1u << HISTOGRAM_BITS)
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - HISTOGRAM_BITS;
    return (int)(((uint64_t)shift << HISTOGRAM_BITS) + (value >> shift));
}

static uint64_t upper_end(int bucket)
{
    if (bucket < 2 << HISTOGRAM_BITS)
        return (uint64_t)bucket;
    int shift = (bucket >> HISTOGRAM_BITS) - 1;
    return (((uint64_t)bucket - ((uint64_t)shift << HISTOGRAM_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, int64_t nanoseconds)
{
    if (nanoseconds < 0)
        nanoseconds = 0;
    histogram->buckets[bucket_of((uint64_t)nanoseconds / 1000)]++;
    histogram->count++;
    if (nanoseconds > histogram->highest)
        histogram->highest = nanoseconds;
}

double histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count), seen = 0;
    double highest = (double)histogram->highest / 1e3;
    if (histogram->count == 0)
        return 0;
    for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen > wanted)
            return (double)upper_end(bucket) < highest ? (double)upper_end(bucket) : highest;
    }
    return highest;
}
