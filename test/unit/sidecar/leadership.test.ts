import { expect, test } from "bun:test";
import type { Members } from "../../../src/control/members/members.ts";
import { Leadership } from "../../../src/sidecar/leadership.ts";
import { waitFor } from "../../support/wait_for.ts";

/** A member that has won the lease. */
class Winner {
  hasLease = false;
  resigned = 0;
  others = 0;
  readonly epoch = 1;
  readonly leader = null;
  #listener: (change: "leader") => void = () => {};

  onChange(listener: (change: "leader") => void): () => void {
    this.#listener = listener;
    return () => {};
  }

  live() {
    return [{ self: true }, ...Array.from({ length: this.others }, () => ({ self: false }))];
  }

  stand(): void {
    this.hasLease = true;
    this.#listener("leader");
  }

  async resign(): Promise<void> {
    this.resigned++;
    this.hasLease = false;
    this.#listener("leader");
  }
}

test("Leadership gives the lease back where its begin does not end and another member lives, and not before", async () => {
  const winner = new Winner();
  const begin = Promise.withResolvers<AsyncDisposable>();
  const said: string[] = [];
  await using _leadership = new Leadership({
    members: winner as unknown as Members,
    lead: () => begin.promise,
    log: (_level, _part, message) => said.push(message),
    stuckMs: 20,
  });
  winner.stand();
  await new Promise((resolve) => setTimeout(resolve, 100));
  // Who is alone has nobody to give it to.
  expect(winner.resigned).toBe(0);
  winner.others = 1;
  await waitFor(() => winner.resigned > 0, { what: "the lease to be given back" });
  expect(said).toEqual(["leads nothing 20 ms after it took the lease: gives it back"]);
  begin.reject(new Error("no_leader"));
});
