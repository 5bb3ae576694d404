/**
 * What waits for the upstream and must get an answer when the endpoint closes. An array and not a set: every call comes
 * and goes here, and a set leaves a trail of old tables behind.
 */

/** One that waits. */
export type Waiter = { readonly end: () => void; place: number };

export type Waiting = {
  /** @param end is called when the endpoint closes */
  add(end: () => void): Waiter;
  delete(waiter: Waiter): void;
  /** Ends everything that waits. */
  endAll(): void;
};

export function createWaiting(): Waiting {
  const waiters: Waiter[] = [];
  return {
    add(end) {
      const waiter = { end, place: waiters.length };
      waiters.push(waiter);
      return waiter;
    },
    delete(waiter) {
      if (waiters[waiter.place] !== waiter) return;
      const last = waiters.pop();
      if (last === undefined || last === waiter) return;
      last.place = waiter.place;
      waiters[last.place] = last;
    },
    endAll() {
      for (const { end } of [...waiters]) end();
    },
  };
}
