/*
 * NCCL without a network of GPUs: the functions of nccl.h that a bridge calls, over sockets, from and to the memory of the fake
 * driver (cuda.c), which has to be loaded before.
 *
 * An id is the path of a socket in FAKE_NCCL_DIRECTORY. FAKE_NCCL_VERSION is what ncclGetVersion gives (21903). The file
 * FAKE_NCCL_DIRECTORY/fail holds a rank whose sends fail from then on, .../hang one whose sends never return, .../async one
 * whose communicator fails later.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef int ncclResult_t;
typedef struct { char internal[128]; } ncclUniqueId;
typedef struct { int rank, size, *peers; } *ncclComm_t;

enum { OK = 0, SYSTEM = 2, INVALID = 4, REMOTE = 6 };

static int listening = -1;
static int group = 0;

ncclResult_t ncclGetVersion(int *version) {
  const char *text = getenv("FAKE_NCCL_VERSION");
  *version = text ? atoi(text) : 21903;
  return OK;
}

const char *ncclGetErrorString(ncclResult_t status) {
  return status == SYSTEM ? "unhandled system error" : status == INVALID ? "invalid argument"
    : status == REMOTE ? "remote process exited or there was a network error" : "no error";
}

static int is(const char *name, int rank) {
  char path[256], text[16] = "";
  snprintf(path, sizeof path, "%s/%s", getenv("FAKE_NCCL_DIRECTORY"), name);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  int told = fscanf(file, "%15s", text) == 1 && atoi(text) == rank;
  fclose(file);
  return told;
}

static char *device(const void *at, size_t bytes) {
  static char *(*host)(unsigned long long, size_t) = NULL;
  if (!host) host = (char *(*)(unsigned long long, size_t))dlsym(dlopen(getenv("EZPZ_CUDA_LIBRARY"), RTLD_NOW), "fake_cuda_host");
  return host((unsigned long long)(size_t)at, bytes);
}

static int all(int fd, char *bytes, size_t count, int out) {
  while (count > 0) {
    ssize_t n = out ? send(fd, bytes, count, MSG_NOSIGNAL) : read(fd, bytes, count);
    if (n <= 0) return 0;
    bytes += n;
    count -= n;
  }
  return 1;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memset(id, 0, sizeof *id);
  snprintf(id->internal, 108, "%s/%d.sock", getenv("FAKE_NCCL_DIRECTORY"), getpid());
  strcpy(address.sun_path, id->internal);
  unlink(address.sun_path);
  listening = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 64)) return SYSTEM;
  return OK;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int size, ncclUniqueId id, int rank) {
  char ready = 1;
  ncclComm_t comm = calloc(1, sizeof *comm);
  comm->rank = rank;
  comm->size = size;
  comm->peers = calloc(size, sizeof(int));
  if (rank == 0) {
    for (int i = 1; i < size; i++) {
      int other, fd = accept(listening, NULL, NULL);
      if (fd < 0 || !all(fd, (char *)&other, sizeof other, 0) || other <= 0 || other >= size) return SYSTEM;
      comm->peers[other] = fd;
    }
    for (int i = 1; i < size; i++) {
      if (!all(comm->peers[i], &ready, 1, 1)) return REMOTE;
    }
  } else {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, id.internal);
    comm->peers[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(comm->peers[0], (struct sockaddr *)&address, sizeof address)) return SYSTEM;
    if (!all(comm->peers[0], (char *)&rank, sizeof rank, 1) || !all(comm->peers[0], &ready, 1, 0)) return REMOTE;
  }
  *out = comm;
  return OK;
}

ncclResult_t ncclGroupStart(void) { group++; return OK; }
ncclResult_t ncclGroupEnd(void) { return group-- > 0 ? OK : INVALID; }

ncclResult_t ncclSend(const void *from, size_t count, int type, int peer, ncclComm_t comm, void *stream) {
  char *at = device(from, count);
  if (!at || type != 1 || peer != 0 || comm->rank == 0 || !stream) return INVALID;
  if (is("fail", comm->rank)) return REMOTE;
  while (is("hang", comm->rank)) sleep(1);
  return all(comm->peers[0], at, count, 1) ? OK : REMOTE;
}

ncclResult_t ncclRecv(void *to, size_t count, int type, int peer, ncclComm_t comm, void *stream) {
  char *at = device(to, count);
  if (!at || type != 1 || peer <= 0 || peer >= comm->size || group == 0 || !stream) return INVALID;
  return all(comm->peers[peer], at, count, 0) ? OK : REMOTE;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *status) {
  *status = is("async", comm->rank) ? REMOTE : OK;
  return OK;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  for (int i = 0; i < comm->size; i++) {
    if (comm->peers[i] > 0) close(comm->peers[i]);
  }
  free(comm->peers);
  free(comm);
  return OK;
}
