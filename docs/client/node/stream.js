// Events over one ReportStream for the whole process, in place of Report: one message an event and
// no call to wait for. Events stay pending until they are acked; when the stream breaks they go
// again on the next one.
import { milliseconds } from './usher.js';

const MAX_PENDING = 8_192;

export class Stream {
  #last = 0; // sequence of the newest event
  #pending = []; // { sequence, event }, not acked, rising
  #call; // the present stream, once usher has answered its hello
  #timer;
  #stopped = false;
  #idle = []; // resolvers of flush

  // trouble(exception) hears of events that usher refused or had no use for.
  constructor(scheduler, owner, trouble = console.warn) {
    Object.assign(this, { scheduler, owner, trouble });
    this.#open();
  }

  // send queues events and returns at once. The oldest are dropped when too many are pending.
  send(...events) {
    for (const event of events) {
      const next = { sequence: ++this.#last, event };
      this.#pending.push(next);
      this.#call?.write({ event: next });
    }
    this.#pending = this.#pending.slice(-MAX_PENDING);
  }

  // flush waits until everything is acked.
  flush() {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#settle();
    });
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#call?.end();
  }

  #open() {
    let again = 1_000;
    const call = this.scheduler.ReportStream();
    call.on('data', (answer) => {
      if (answer.message === 'hello') {
        this.#call = call;
        for (const event of this.#pending) call.write({ event }); // also what an earlier stream did not see acked
      } else if (answer.message === 'ack') {
        if (this.#acked(answer.ack)) call.cancel(); // usher's store is away: the next stream sends it again
      } else if (answer.message === 'lease_lost') {
        console.warn('a lease ended by itself:', answer.lease_lost.reason);
      } else if (answer.message === 'going_away') {
        again = Math.max(100, milliseconds(answer.going_away.retry_after));
        call.end();
      } // else an account changed, or something newer than this client
    });
    call.on('error', () => {}); // status tells the same
    call.on('status', () => {
      this.#call = undefined;
      if (!this.#stopped) this.#timer = setTimeout(() => this.#open(), again);
    });
    call.write({ hello: { owner: this.owner } });
  }

  // #acked says whether events must be sent again, under new sequences.
  #acked({ through_sequence: through, exceptions }) {
    const refused = exceptions.filter((x) => x.nack?.reason === 'NACK_REASON_UNAVAILABLE').map((x) => x.sequence);
    const done = this.#pending.filter((p) => p.sequence <= through);
    this.#pending = this.#pending.filter((p) => p.sequence > through);
    for (const { sequence, event } of done) {
      if (refused.includes(sequence)) this.#pending.push({ sequence: ++this.#last, event });
    }
    for (const x of exceptions) {
      if (x.nack || /LEASE_UNKNOWN|TOKEN_INVALID/.test(x.result.status)) this.trouble(x);
    }
    this.#settle();
    return refused.length > 0;
  }

  #settle() {
    if (this.#pending.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
