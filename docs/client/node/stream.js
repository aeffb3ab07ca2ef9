// Events over one ReportStream for the whole process, in place of Report: one message an event and
// no call to wait for. Events stay pending until they are acked; when the stream breaks they go
// again on the next one. Heartbeats say what the process holds.
import { milliseconds } from './usher.js';

const MAX_PENDING = 8_192;

export class Stream {
  #last = 0; // sequence of the newest event or heartbeat
  #pending = []; // { sequence, event }, not acked, rising
  #call; // the present stream, once usher has answered its hello
  #timer; // opens the next one
  #beats = new Set(); // heartbeats that are not acked
  #replaces = true; // the first stream ends the leases of the process's start before; a later one must not
  #stopped = false;
  #idle = []; // resolvers of flush

  // Every lease that was selected with this owner must be in held. trouble(exception) hears of events
  // that usher refused or had no use for.
  constructor(scheduler, owner, held, trouble = console.warn) {
    Object.assign(this, { scheduler, owner, held, trouble });
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
    let beating;
    const call = this.scheduler.ReportStream();
    call.on('data', (answer) => {
      if (answer.message === 'hello') {
        this.#call = call;
        this.#replaces = false;
        this.#beats.clear();
        this.held.forgetAccounts();
        for (const event of this.#pending) call.write({ event }); // also what an earlier stream did not see acked
        const every = milliseconds(answer.hello.heartbeat_interval);
        if (every > 0) {
          this.#beat(call);
          beating = setInterval(() => this.#beat(call), every);
        }
      } else if (answer.message === 'ack') {
        if (this.#acked(answer.ack)) call.cancel(); // usher's store is away: the next stream sends it again
      } else if (answer.message === 'lease_lost') {
        console.warn('a lease ended by itself:', answer.lease_lost.reason);
        this.held.remove(answer.lease_lost.lease_token);
      } else if (answer.message === 'account_state') {
        this.held.changed(answer.account_state);
      } else if (answer.message === 'going_away') {
        again = Math.max(100, milliseconds(answer.going_away.retry_after));
        call.end();
      } // else something newer than this client
    });
    call.on('error', () => {}); // status tells the same
    call.on('status', () => {
      this.#call = undefined;
      clearInterval(beating);
      if (!this.#stopped) this.#timer = setTimeout(() => this.#open(), again);
    });
    call.write({ hello: { owner: this.owner, replaces_previous: this.#replaces } });
  }

  #beat(call) {
    if (this.#call !== call || call.writableEnded) return;
    const sequence = ++this.#last; // one series for events and heartbeats
    this.#beats.add(sequence);
    call.write({ heartbeat: { sequence, lease_tokens: this.held.tokens() } });
  }

  // #acked says whether events must be sent again, under new sequences.
  #acked({ through_sequence: through, exceptions }) {
    const refused = exceptions.filter((x) => x.nack?.reason === 'NACK_REASON_UNAVAILABLE').map((x) => x.sequence);
    const done = this.#pending.filter((p) => p.sequence <= through);
    this.#pending = this.#pending.filter((p) => p.sequence > through);
    let again = false;
    for (const { sequence, event } of done) {
      if (!refused.includes(sequence)) continue;
      this.#pending.push({ sequence: ++this.#last, event });
      again = true;
    }
    for (const x of exceptions) {
      if (this.#beats.has(x.sequence)) console.warn('usher refused a heartbeat:', x.nack); // the next one is due soon
      else if (x.nack || /LEASE_UNKNOWN|TOKEN_INVALID/.test(x.result.status)) this.trouble(x);
    }
    for (const sequence of this.#beats) if (sequence <= through) this.#beats.delete(sequence);
    this.#settle();
    return again;
  }

  #settle() {
    if (this.#pending.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
