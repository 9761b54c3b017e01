/* A STREAM triad and a read loop in C, on pages as ours: the yardstick of benchmarks/fidelity.py.
   usage: stream COUNT REPEATS; prints seconds of every repeat, "read s s s" and "triad s s s". */
#define _GNU_SOURCE
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static double *allocate(size_t count) {
    const size_t huge = 2u << 20, size = count * sizeof(double) + huge;
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) exit(1);
    madvise(block, size, MADV_HUGEPAGE);
    double *array = (double *)(((size_t)block + huge - 1) / huge * huge);
    for (size_t i = 0; i < count; i++) array[i] = 1.0;
    return array;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const size_t count = strtoull(argv[1], NULL, 10);
    const int repeats = atoi(argv[2]);
    double *a = allocate(count), *b = allocate(count), *c = allocate(count), total = 0;
    printf("read");
    for (int r = 0; r < repeats; r++) {
        const double start = omp_get_wtime();
        double sum = 0;
#pragma omp parallel for simd reduction(+ : sum)
        for (size_t i = 0; i < count; i++) sum += a[i];
        total += sum;
        printf(" %.9f", omp_get_wtime() - start);
    }
    printf("\ntriad");
    for (int r = 0; r < repeats; r++) {
        const double start = omp_get_wtime();
#pragma omp parallel for simd
        for (size_t i = 0; i < count; i++) a[i] = b[i] + 3.0 * c[i];
        printf(" %.9f", omp_get_wtime() - start);
    }
    printf("\nsum %g %g\n", total, a[count / 2]);
    return 0;
}
