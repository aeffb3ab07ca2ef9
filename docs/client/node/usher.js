// One channel to usher, and its calls as promises.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const here = path.dirname(fileURLToPath(import.meta.url));
const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const files = ['scheduler', 'report', 'metrics'].map((name) => `usher/v1/${name}.proto`);
const { usher } = grpc.loadPackageDefinition(
  loadSync(files, { ...options, includeDirs: [path.join(here, '../../../proto')] }),
);
const details = loadSync('errors.proto', { ...options, includeDirs: [path.join(here, '..')] });

// connect opens the one channel that all calls of the process share. It does not wait for usher:
// calls fail with UNAVAILABLE until it is there, and the channel comes back by itself.
// The address is host:port or unix:///path/to/socket.
export function connect(address) {
  // Usher is on this machine; over a network use TLS instead.
  const credentials = grpc.credentials.createInsecure();
  const scheduler = new usher.v1.SchedulerService(address, credentials, {
    // A dead peer is noticed within 13 s, also between calls.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 3_000,
    'grpc.keepalive_permit_without_calls': 1,
    // By default gRPC pauses up to 2 min between two attempts to connect.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
  });
  const metrics = new usher.v1.MetricsService(address, credentials, { channelOverride: scheduler.getChannel() });
  return { scheduler, metrics };
}

// unary makes one call, out of time after deadlineMs, cancelled by signal.
export function unary(client, method, request, deadlineMs, signal) {
  return new Promise((resolve, reject) => {
    const call = client[method](request, { deadline: Date.now() + deadlineMs }, (error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (error) reject(error);
      else resolve(response);
    });
    const cancel = () => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
  });
}

export const duration = (ms) => ({ seconds: Math.floor(ms / 1000), nanos: Math.round((ms % 1000) * 1e6) });
export const milliseconds = (d) => (d ? d.seconds * 1000 + d.nanos / 1e6 : 0);

// away says that no usher answers, or that it is of no help: go on without it.
export function away(error) {
  const { UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN } = grpc.status;
  return [UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN].includes(error.code);
}

// explain takes a gRPC error's details apart.
export function explain(error) {
  const fault = { code: grpc.status[error.code], fields: {}, reason: '', retryAfterMs: 0 };
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!bytes) return fault;
  for (const { type_url, value } of details['gateway.Status'].deserialize(bytes).details) {
    const name = type_url.split('.').pop();
    const detail = details[`gateway.${name}`]?.deserialize(value);
    if (name === 'BadRequest') for (const v of detail.field_violations) fault.fields[v.field] = v.description;
    if (name === 'ErrorInfo') fault.reason = detail.reason;
    if (name === 'RetryInfo') fault.retryAfterMs = milliseconds(detail.retry_delay);
  }
  return fault;
}
