/* What an all-reduce of K doubles costs under MPI: one of them, and the four (sum, sum of squares, max, min) that
   statistics take. Prints microseconds an operation, as rank 0 sees it: `one four`. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, k = argc > 1 ? atoi(argv[1]) : 32, steps = argc > 2 ? atoi(argv[2]) : 1000;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  double *in = malloc(4 * k * sizeof(double)), *out = malloc(4 * k * sizeof(double));
  for (int i = 0; i < 4 * k; i++) in[i] = rank + i;
  double took[2];
  for (int four = 0; four < 2; four++) {
    double from = 0;
    for (int step = -steps / 10; step < steps; step++) {
      if (step == 0) {
        MPI_Barrier(MPI_COMM_WORLD);
        from = MPI_Wtime();
      }
      if (four) {
        MPI_Allreduce(in, out, k, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        MPI_Allreduce(in + k, out + k, k, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        MPI_Allreduce(in + 2 * k, out + 2 * k, k, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        MPI_Allreduce(in + 3 * k, out + 3 * k, k, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
      } else {
        MPI_Allreduce(in, out, 4 * k, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
      }
    }
    took[four] = (MPI_Wtime() - from) / steps * 1e6;
  }
  if (rank == 0) printf("%.3f %.3f\n", took[0], took[1]);
  MPI_Finalize();
  return 0;
}
