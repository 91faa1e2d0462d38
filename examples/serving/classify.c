/* Asks an exported model from C: TensorFlow's C API, no Python.

     classify SAVED_MODEL SIGNATURE [--class N] FILE...

   Each FILE is one row of the batch: a picture file for serve_bytes, raw RGB bytes (H*W*3) for the
   signatures that take images. explain_class also takes the number of the class that is asked about.
   Prints each output on a line: name [shape] values.

   Names of tensors are looked up in the model's SignatureDef: those in the graph change from export to
   export, those of the signature do not. TF_LoadSessionFromSavedModel hands out the MetaGraphDef as
   serialized bytes; the few fields that are needed are read from them here, so that no protobuf library
   is. Build: see README.md beside this file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tensorflow/c/c_api.h"

#define MAX_TENSORS 16
#define MAX_DIMS 8

typedef struct { const unsigned char *at, *end; } Bytes;
typedef struct { char key[64], tensor[128]; TF_DataType dtype; int dims; int64_t shape[MAX_DIMS]; } Info;
typedef struct { Info info[MAX_TENSORS]; int count; } Infos;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s%s%s\n", what, why ? ": " : "", why ? why : "");
  exit(2);
}

/* --- Protocol buffers, as far as needed: a message is a sequence of (field number, value). --- */

static uint64_t varint(Bytes *in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && in->at < in->end; shift += 7) {
    unsigned char byte = *in->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (!(byte & 128)) return value;
  }
  fail("the model's MetaGraphDef cannot be read", NULL);
  return 0;
}

/* The next field's number, or 0 at the end; its value in *number or, for strings and messages, *bytes. */
static int next_field(Bytes *in, uint64_t *number, Bytes *bytes) {
  if (in->at >= in->end) return 0;
  uint64_t tag = varint(in);
  uint64_t size = 0;
  switch (tag & 7) {
    case 0: *number = varint(in); break;
    case 1: size = 8; break;
    case 2: size = varint(in); break;
    case 5: size = 4; break;
    default: fail("the model's MetaGraphDef cannot be read", NULL);
  }
  if (size > (uint64_t)(in->end - in->at)) fail("the model's MetaGraphDef is cut off", NULL);
  *bytes = (Bytes){in->at, in->at + size};
  in->at += size;
  return (int)(tag >> 3);
}

static void copy_text(Bytes from, char *to, size_t room) {
  size_t size = (size_t)(from.end - from.at);
  if (size >= room) fail("a name in the model is too long for this program", NULL);
  memcpy(to, from.at, size);
  to[size] = 0;
}

/* TensorInfo: 1 name in the graph, 2 dtype, 3 TensorShapeProto (2 dim (1 size)). */
static void read_info(Bytes in, Info *info) {
  uint64_t number;
  Bytes bytes, dim, size;
  for (int field; (field = next_field(&in, &number, &bytes));) {
    if (field == 1) copy_text(bytes, info->tensor, sizeof info->tensor);
    if (field == 2) info->dtype = (TF_DataType)number;
    if (field != 3) continue;
    while ((field = next_field(&bytes, &number, &dim))) {
      if (field != 2 || info->dims == MAX_DIMS) continue;
      info->shape[info->dims] = 0;
      while ((field = next_field(&dim, &number, &size)))
        if (field == 1) info->shape[info->dims] = (int64_t)number;
      info->dims++;
    }
  }
}

/* SignatureDef: 1 inputs and 2 outputs, maps (1 key, 2 value) of TensorInfo. */
static void read_signature(Bytes in, Infos *inputs, Infos *outputs) {
  uint64_t number;
  Bytes entry, value;
  for (int field; (field = next_field(&in, &number, &entry));) {
    Infos *infos = field == 1 ? inputs : field == 2 ? outputs : NULL;
    if (!infos) continue;
    if (infos->count == MAX_TENSORS) fail("the signature has too many tensors for this program", NULL);
    Info *info = &infos->info[infos->count++];
    while ((field = next_field(&entry, &number, &value))) {
      if (field == 1) copy_text(value, info->key, sizeof info->key);
      if (field == 2) read_info(value, info);
    }
  }
}

/* MetaGraphDef: 5 signature_def, a map (1 key, 2 value) of SignatureDef. */
static int find_signature(Bytes graph, const char *wanted, Infos *inputs, Infos *outputs) {
  uint64_t number;
  Bytes entry, value, signature = {0};
  for (int field; (field = next_field(&graph, &number, &entry));) {
    char name[128] = "";
    if (field != 5) continue;
    while ((field = next_field(&entry, &number, &value))) {
      if (field == 1) copy_text(value, name, sizeof name);
      if (field == 2) signature = value;
    }
    if (strcmp(name, wanted)) continue;
    read_signature(signature, inputs, outputs);
    return 1;
  }
  return 0;
}

/* --- TensorFlow --- */

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* "name:0" in the graph, as operation and index. */
static TF_Output find_output(TF_Graph *graph, const Info *info) {
  char name[128];
  strcpy(name, info->tensor);
  char *colon = strrchr(name, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (!output.oper) fail("the graph has no operation of this name", name);
  return output;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail("cannot open", path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *content = malloc(*size + 1);
  if (!content || fread(content, 1, *size, file) != *size) fail("cannot read", path);
  fclose(file);
  return content;
}

/* One row a file: bytes as they are for a string input, pixels for a uint8 one. */
static TF_Tensor *read_batch(const Info *info, char **paths, int rows) {
  int64_t shape[MAX_DIMS] = {rows};
  size_t row_size = info->dtype == TF_STRING ? sizeof(TF_TString) : 1;
  for (int d = 1; d < info->dims; d++) {
    if (info->shape[d] < 0) fail("the model takes images of any size; this program needs to know theirs", NULL);
    row_size *= (size_t)(shape[d] = info->shape[d]);
  }
  TF_Tensor *tensor = TF_AllocateTensor(info->dtype, shape, info->dims, row_size * (size_t)rows);
  char *data = TF_TensorData(tensor);
  for (int row = 0; row < rows; row++) {
    size_t size;
    char *content = read_file(paths[row], &size);
    if (info->dtype == TF_STRING) {
      TF_TString *text = (TF_TString *)data + row;
      TF_TString_Init(text);
      TF_TString_Copy(text, content, size);
    } else {
      if (size != row_size) fail("this file does not hold H*W*3 bytes", paths[row]);
      memcpy(data + (size_t)row * row_size, content, size);
    }
    free(content);
  }
  return tensor;
}

/* The same class for every row. */
static TF_Tensor *repeat_class(int32_t number, int rows) {
  int64_t shape[] = {rows};
  TF_Tensor *tensor = TF_AllocateTensor(TF_INT32, shape, 1, sizeof number * (size_t)rows);
  int32_t *data = TF_TensorData(tensor);
  for (int row = 0; row < rows; row++) data[row] = number;
  return tensor;
}

static void print_tensor(const char *name, const TF_Tensor *tensor) {
  printf("%s [", name);
  for (int d = 0; d < TF_NumDims(tensor); d++) printf("%s%lld", d ? "," : "", (long long)TF_Dim(tensor, d));
  printf("]");
  const void *data = TF_TensorData(tensor);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++) {
    if (TF_TensorType(tensor) == TF_FLOAT) printf(" %.9g", ((const float *)data)[i]);
    else if (TF_TensorType(tensor) == TF_BOOL) printf(" %d", ((const unsigned char *)data)[i]);
    else fail("an output is neither float nor bool", name);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  const char *usage = "classify SAVED_MODEL SIGNATURE [--class N] FILE...", *class = NULL;
  int first = 3;  /* among argv, of the files */
  if (argc > 4 && !strcmp(argv[3], "--class")) class = argv[4], first = 5;
  if (argc <= first) fail("usage", usage);
  char *end = NULL;
  int32_t number = class ? (int32_t)strtol(class, &end, 10) : 0;
  if (class && (end == class || *end)) fail("--class takes the number of a class", class);
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta_graph = TF_NewBuffer();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta_graph, status);
  check(status, "cannot load the model");

  Infos inputs = {0}, outputs = {0};
  const unsigned char *start = meta_graph->data;
  if (!find_signature((Bytes){start, start + meta_graph->length}, argv[2], &inputs, &outputs))
    fail("the model has no such signature", argv[2]);

  int takes_class = 0;
  for (int i = 0; i < inputs.count; i++) takes_class |= inputs.info[i].dtype == TF_INT32;
  if (takes_class && !class) fail("this signature needs --class N", argv[2]);
  if (class && !takes_class) fail("this signature takes no --class", argv[2]);

  TF_Output feed[MAX_TENSORS], fetch[MAX_TENSORS];
  TF_Tensor *batch[MAX_TENSORS], *answers[MAX_TENSORS];
  for (int i = 0; i < inputs.count; i++) {
    feed[i] = find_output(graph, &inputs.info[i]);
    batch[i] = inputs.info[i].dtype == TF_INT32 ? repeat_class(number, argc - first)
                                                : read_batch(&inputs.info[i], argv + first, argc - first);
  }
  for (int i = 0; i < outputs.count; i++) fetch[i] = find_output(graph, &outputs.info[i]);
  TF_SessionRun(session, NULL, feed, batch, inputs.count, fetch, answers, outputs.count, NULL, 0, NULL, status);
  check(status, "the model cannot answer");
  for (int i = 0; i < outputs.count; i++) {
    print_tensor(outputs.info[i].key, answers[i]);
    TF_DeleteTensor(answers[i]);
  }

  for (int i = 0; i < inputs.count; i++) TF_DeleteTensor(batch[i]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteBuffer(meta_graph);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
