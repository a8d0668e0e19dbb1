/*
 * CUDA's driver without a GPU: the functions of cuda.h that a bridge calls, over memory of this process.
 *
 * An address on the device is not one of the host: using it as such ends the process. Calls without cuInit, without a context
 * of this thread, with a stream, an event or memory that is none, or beyond memory's end, fail as they do with the real one.
 * A stream takes a while until it is done.
 *
 * Memory of another process is a file: a handle holds its path. An event is a file, too: it has come when the file is there.
 *
 * With FAKE_CUDA_SHARED, a directory, memory is made in files there, so that other processes can be given it.
 *
 * FAKE_CUDA_INIT is what cuInit gives, FAKE_CUDA_DEVICES how many devices there are (1).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct { char bytes[64]; } CUipcHandle;

#define TAG 0x4000000000000000ull
enum { OK = 0, INVALID = 1, UNINITIALIZED = 3, NO_DEVICE = 100, NO_CONTEXT = 201, MAPPED = 208, BAD_HANDLE = 400, NOT_READY = 600 };

static int initialized = 0;
static __thread void *context = NULL;
static char contexts[8];
static struct { int used, polls; char event[64]; } streams[16];
static char events[32][64];
static struct { char *at; size_t size; char path[64]; } memories[64];

static int number(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

#define READY \
  if (!initialized) return UNINITIALIZED; \
  if (!context) return NO_CONTEXT;

static int stream_of(void *handle) {
  size_t i = (size_t)handle;
  return i >= 1 && i < 16 && streams[i].used ? (int)i : 0;
}

static char *host(CUdeviceptr at, size_t bytes) {
  char *from = (char *)(size_t)(at ^ TAG);
  for (int i = 0; i < 64; i++) {
    if (memories[i].at && from >= memories[i].at && from + bytes <= memories[i].at + memories[i].size) return from;
  }
  return NULL;
}

/* For the fake NCCL, which reads and writes there. */
char *fake_cuda_host(CUdeviceptr at, size_t bytes) { return host(at, bytes); }

static CUresult keep(char *at, size_t size, const char *path, CUdeviceptr *out) {
  for (int i = 0; i < 64; i++) {
    if (memories[i].at) continue;
    memories[i].at = at;
    memories[i].size = size;
    snprintf(memories[i].path, 64, "%s", path);
    *out = (CUdeviceptr)(size_t)at | TAG;
    return OK;
  }
  return INVALID;
}

CUresult cuInit(unsigned int flags) {
  int status = number("FAKE_CUDA_INIT", OK);
  if (status == OK && flags == 0) initialized = 1;
  return status;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = error == NO_DEVICE ? "no CUDA-capable device is detected"
    : error == BAD_HANDLE ? "invalid resource handle"
    : error == NO_CONTEXT ? "invalid device context"
    : error == MAPPED ? "resource already mapped"
    : error == INVALID ? "invalid argument" : NULL;
  return *text ? OK : INVALID;
}

CUresult cuDriverGetVersion(int *version) { *version = 12040; return OK; }
CUresult cuDeviceGetCount(int *count) {
  *count = number("FAKE_CUDA_DEVICES", 1);
  return initialized ? OK : UNINITIALIZED;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  if (!initialized) return UNINITIALIZED;
  if (ordinal < 0 || ordinal >= number("FAKE_CUDA_DEVICES", 1)) return 101;
  *device = ordinal;
  return OK;
}
CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
  snprintf(name, size, "Fake H100 %d", device);
  return OK;
}
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags) { (void)device; (void)flags; return OK; }
CUresult cuDevicePrimaryCtxRetain(void **out, CUdevice device) { *out = &contexts[device]; return OK; }
CUresult cuCtxSetCurrent(void *now) { context = now; return OK; }

CUresult cuStreamCreate(void **out, unsigned int flags) {
  READY
  (void)flags;
  for (size_t i = 1; i < 16; i++) {
    if (streams[i].used) continue;
    streams[i].used = 1;
    *out = (void *)i;
    return OK;
  }
  return INVALID;
}

static int come(int i) { return streams[i].event[0] == 0 || access(streams[i].event, F_OK) == 0; }

CUresult cuStreamQuery(void *stream) {
  READY
  int i = stream_of(stream);
  if (!i) return BAD_HANDLE;
  if (!come(i)) return NOT_READY;
  streams[i].event[0] = 0;
  if (streams[i].polls > 0) return streams[i].polls--, NOT_READY;
  return OK;
}

CUresult cuStreamSynchronize(void *stream) {
  READY
  int i = stream_of(stream);
  if (!i) return BAD_HANDLE;
  while (!come(i)) usleep(1000);
  streams[i].polls = 0;
  return OK;
}

CUresult cuStreamWaitEvent(void *stream, void *event, unsigned int flags) {
  READY
  size_t e = (size_t)event;
  int i = stream_of(stream);
  if (!i || e < 1 || e >= 32 || !events[e][0] || flags) return BAD_HANDLE;
  memcpy(streams[i].event, events[e], 64);
  return OK;
}

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t bytes) {
  static int made = 0;
  char path[64];
  const char *directory = getenv("FAKE_CUDA_SHARED");
  READY
  if (!directory) return keep(malloc(bytes), bytes, "", out);
  snprintf(path, sizeof path, "%s/%d-%d", directory, getpid(), made++);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0 || ftruncate(fd, bytes)) return INVALID;
  char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return at == MAP_FAILED ? INVALID : keep(at, bytes, path, out);
}

CUresult cuIpcGetMemHandle(CUipcHandle *handle, CUdeviceptr at) {
  READY
  for (int i = 0; i < 64; i++) {
    if (!memories[i].at || memories[i].at != (char *)(size_t)(at ^ TAG) || !memories[i].path[0]) continue;
    memcpy(handle->bytes, memories[i].path, 64);
    return OK;
  }
  return INVALID;
}

static CUresult drop(CUdeviceptr at, int own) {
  for (int i = 0; i < 64; i++) {
    if (!memories[i].at || memories[i].at != (char *)(size_t)(at ^ TAG) || own == (memories[i].path[0] != 0)) continue;
    if (own) free(memories[i].at);
    else munmap(memories[i].at, memories[i].size);
    memories[i].at = NULL;
    return OK;
  }
  return INVALID;
}
CUresult cuMemFree_v2(CUdeviceptr at) { READY return drop(at, 1); }
CUresult cuIpcCloseMemHandle(CUdeviceptr at) { READY return drop(at, 0); }

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, void *stream) {
  READY
  int i = stream_of(stream);
  char *at = host(to, bytes);
  if (!i) return BAD_HANDLE;
  if (!at) return INVALID;
  memcpy(at, from, bytes);
  streams[i].polls = 3;
  return OK;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, void *stream) {
  READY
  int i = stream_of(stream);
  char *at = host(from, bytes);
  if (!i) return BAD_HANDLE;
  if (!at) return INVALID;
  while (!come(i)) usleep(1000);
  memcpy(to, at, bytes);
  return OK;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr at) {
  READY
  for (int i = 0; i < 64; i++) {
    char *from = (char *)(size_t)(at ^ TAG);
    if (!memories[i].at || from < memories[i].at || from >= memories[i].at + memories[i].size) continue;
    *base = (CUdeviceptr)(size_t)memories[i].at | TAG;
    *size = memories[i].size;
    return OK;
  }
  return INVALID;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *out, CUipcHandle handle, unsigned int flags) {
  READY
  struct stat stat;
  if (flags != 1) return INVALID;
  for (int i = 0; i < 64; i++) {
    if (memories[i].at && memories[i].path[0] && !strncmp(memories[i].path, handle.bytes, 63)) return MAPPED;
  }
  int fd = open(handle.bytes, O_RDWR);
  if (fd < 0 || fstat(fd, &stat)) return INVALID;
  char *at = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return at == MAP_FAILED ? INVALID : keep(at, stat.st_size, handle.bytes, out);
}

CUresult cuIpcOpenEventHandle(void **out, CUipcHandle handle) {
  READY
  for (size_t i = 1; i < 32; i++) {
    if (events[i][0]) continue;
    memcpy(events[i], handle.bytes, 64);
    *out = (void *)i;
    return OK;
  }
  return INVALID;
}
CUresult cuEventDestroy_v2(void *event) {
  size_t i = (size_t)event;
  if (i < 1 || i >= 32 || !events[i][0]) return BAD_HANDLE;
  events[i][0] = 0;
  return OK;
}
