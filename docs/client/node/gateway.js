// The whole life of a request with usher beside the gateway, its retries, and what to do when
// usher is away. Made to be copied and changed; docs/client.md tells the rules behind it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Held } from './held.js';
import { Reports } from './reports.js';
import { away, duration, milliseconds, unary } from './usher.js';

const MAX_ATTEMPTS = 3; // upstream calls for one request at most
const SELECT_DEADLINE_MS = 250; // for each try; an answer takes about a millisecond
const LEASE_TTL_MS = 600_000; // longer than any request runs: what a crash can leak

// Unserved: nothing can serve the request now. Answer the caller 429 or 503 with it.
export class Unserved extends Error {
  constructor(why, retryAfterMs = 0) {
    super(`nothing can serve this now: ${why}`);
    this.retryAfterMs = retryAfterMs; // 0 when asking again is not expected to help
  }
}

// An upstream's error with outcome CLIENT_ERROR or UPSTREAM_TIMEOUT says who is at fault; with
// any other error it was the account.
function outcomeOf(error, signal) {
  if (!error) return 'OUTCOME_SUCCESS';
  if (signal?.aborted) return signal.reason?.name === 'TimeoutError' ? 'OUTCOME_CALLER_TIMEOUT' : 'OUTCOME_CANCELLED';
  return error.outcome ?? 'OUTCOME_ACCOUNT_ERROR';
}
const othersMayServe = (outcome) => ['OUTCOME_ACCOUNT_ERROR', 'OUTCOME_UPSTREAM_TIMEOUT'].includes(outcome);

export class Gateway {
  alternates = new Map(); // of the last answer, by model
  held = new Held(); // for the heartbeats of a stream, where there is one

  // The name is this process's own among living gateways and survives its restarts; the
  // incarnation is new at each. local: accounts to use without usher, best first.
  constructor(scheduler, name, incarnation, local) {
    Object.assign(this, { scheduler, owner: { name, incarnation }, local, reports: new Reports(scheduler) });
  }

  // handle serves one request { id, tenant, model, session, previousResponse, patienceMs } with
  // call(account, model, firstToken, signal) and returns the account that answered it.
  async handle(request, call, signal) {
    const failed = []; // accounts that failed this request
    let reports = []; // how the last attempt went, told with the next Select
    for (let attempt = 0; ; attempt++) {
      // Each attempt is a Select of its own, so it has an id of its own.
      const choice = await this.#choose(request, `${request.id}/${attempt}`, failed, reports, signal);
      const { finished, error } = await this.#attempt(choice, call, signal);
      this.held.remove(choice.lease);
      reports = choice.lease ? [{ lease_token: choice.lease, finished }] : [];
      if (!error || !othersMayServe(finished.outcome) || attempt + 1 === MAX_ATTEMPTS) {
        await this.reports.send(...reports);
        if (error) throw error;
        return choice.account;
      }
      failed.push(choice.account);
      if (choice.lease) reports.unshift({ lease_token: choice.lease, switched: {} });
    }
  }

  // #attempt makes one upstream call and says how it went. The first token is reported at once,
  // beside the stream; finished repeats its figures in case that report is lost.
  async #attempt({ account, model, lease }, call, signal) {
    const began = performance.now();
    const first = {};
    let told, error;
    const firstToken = (responseId = '') => {
      Object.assign(first, { time_to_first_token: duration(performance.now() - began), response_id: responseId });
      if (lease) told = this.reports.send({ lease_token: lease, first_token: first });
    };
    try {
      await call(account, model, firstToken, signal);
    } catch (e) {
      error = e;
    }
    await told;
    return { finished: { ...first, outcome: outcomeOf(error, signal) }, error };
  }

  // #choose asks usher for an account until it has one, the answer is no, or patience is over.
  async #choose(request, requestId, failed, reports, signal) {
    const ask = {
      request_id: requestId, owner: this.owner, tenant: request.tenant, model: request.model,
      session_hash: request.session, previous_response_id: request.previousResponse,
      excluded_account_ids: failed, reports, alternates: 3, lease_ttl: duration(LEASE_TTL_MS),
    };
    const giveUp = performance.now() + (request.patienceMs ?? 0);
    for (let pause = 25; ; ) {
      let answer;
      try {
        answer = await this.select(ask, signal);
      } catch (error) {
        if (!away(error) && !signal?.aborted) {
          await this.reports.send(...ask.reports); // the Select was refused: nothing was taken
          throw error;
        }
        // Perhaps a lease was granted and its answer lost: it is given back by its request_id as
        // soon as usher can be reached. What was to be reported is kept as well.
        const ref = { tenant: request.tenant, owner_name: this.owner.name, request_id: requestId };
        this.reports.keep(...ask.reports, { request: ref, released_unused: {} });
        if (!signal?.aborted) return this.#fallback(request, failed);
        await this.reports.send();
        throw signal.reason;
      }
      ask.reports = []; // applied, whatever the answer is
      let why;
      if (answer.result === 'selection') {
        const { account_id: account, upstream_model: model, lease_token: lease, alternates } = answer.selection;
        if (signal?.aborted) { // the caller left in the meantime: nothing goes upstream
          await this.reports.send({ lease_token: lease, released_unused: {} });
          throw signal.reason;
        }
        this.held.add(lease);
        if (alternates.length) this.alternates.set(request.model, alternates);
        return { account, model, lease };
      } else if (answer.result === 'wait_plan') {
        // A plan holds nothing: ask again with the same id, at growing intervals.
        pause = Math.min(2 * pause, 1_000);
        why = `full; the first place is on ${answer.wait_plan.account_id}`;
      } else if (answer.result === 'refusal') {
        pause = milliseconds(answer.refusal.retry_after);
        why = answer.refusal.reason;
      } else throw new Error('usher gave an answer that this client does not know');
      if (pause === 0 || performance.now() + pause > giveUp) throw new Unserved(why, pause);
      await sleep(pause, undefined, { signal });
    }
  }

  // select has a deadline and one more try. The same request_id makes that safe: when the first
  // answer was lost on its way, the second try finds the lease that it granted.
  async select(ask, signal) {
    const once = () => unary(this.scheduler, 'Select', ask, SELECT_DEADLINE_MS, signal);
    try {
      return await once();
    } catch (error) {
      if (!away(error) || signal?.aborted) throw error;
      return once();
    }
  }

  // #fallback chooses without usher: the alternates of the last answer for this model first, then
  // the gateway's own list, without accounts that usher warned of. Nothing is held, so there is nothing to report.
  #fallback(request, failed) {
    const spare = (this.alternates.get(request.model) ?? []).map((a) => ({ account: a.account_id, model: a.upstream_model }));
    const own = this.local.map((account) => ({ account, model: request.model }));
    const choice = [...spare, ...own].find(({ account }) => !failed.includes(account) && !this.held.avoid(account));
    if (!choice) throw new Unserved('usher is away and no account is left');
    return choice;
  }
}
