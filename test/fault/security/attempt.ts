/**
 * What an attacker tries, as a test: it must be denied, and nothing may have changed or been heard but what the attempt
 * declares as its own right.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { RawClient, type RawClientOptions } from "../../support/raw_client.ts";
import { waitFor } from "../../support/wait_for.ts";
import { differences, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { MARK, SECRETS, World, type WorldOptions } from "./world.ts";

/** How long a question that must not be answered may wait: far more than an answer takes. */
const SILENCE_MS = 250;
const SETTLE_DEADLINE_MS = 15_000;
/** How long acknowledgements, and closed connections, may take to be seen. */
const IDLE_DEADLINE_MS = 2500;
const CHANGE_DEADLINE_MS = 4000;
const ATTEMPT_DEADLINE_MS = 60_000;

/** What one attempt works with. All that it opens is closed when it ends. */
export class Attacker {
  readonly world: World;
  /** Put it into what is sent: wherever it is found, the attempt got there. */
  readonly mark: string;
  readonly #open: (() => Promise<void> | void)[] = [];

  constructor(world: World, mark: string) {
    this.world = world;
    this.mark = mark;
  }

  /** Logs in as an app of a tenant. */
  async app(site: string, tenant: string): Promise<NatsConnection> {
    const nc = await this.world.at(site).site.app(tenant);
    this.onEnd(() => nc.close());
    return nc;
  }

  /** Opens a connection whose frames are written by hand. */
  async raw(site: string, options: Omit<RawClientOptions, "address"> = {}): Promise<RawClient> {
    const client = await RawClient.open({
      address: this.world.at(site).site.file.server?.listen ?? "",
      ...options,
    });
    this.onEnd(() => client[Symbol.dispose]());
    return client;
  }

  /** Runs when the attempt has ended, the last one first. */
  onEnd(close: () => Promise<void> | void): void {
    this.#open.push(close);
  }

  async end(): Promise<void> {
    for (const close of this.#open.reverse()) await close();
  }

  /** What the server refuses while `action` runs, in its words. @throws when it refuses nothing */
  async refused(nc: NatsConnection, action: () => unknown): Promise<string> {
    const found: string[] = [];
    const abort = new AbortController();
    void (async () => {
      for await (const status of nc.status()) {
        if (abort.signal.aborted) return;
        if (status.type === "error" && status.error instanceof PermissionViolationError)
          found.push(status.error.message);
      }
    })();
    await Promise.resolve(action()).catch(() => {});
    try {
      return await waitFor(() => found[0], { deadlineMs: 5000, what: "a permissions violation" });
    } finally {
      abort.abort();
    }
  }

  /** Asks something that nobody may grant. @returns the refusal @throws when there is an answer that is no error */
  async unanswered(nc: NatsConnection, subject: string, payload = ""): Promise<string> {
    let answer: string;
    try {
      answer = (await nc.request(subject, payload, { timeout: SILENCE_MS })).string();
    } catch (error) {
      return error instanceof Error ? `${subject}: ${error.message}` : String(error);
    }
    this.unrevealed(answer);
    const body: unknown = answer === "" ? null : JSON.parse(answer);
    if (typeof body === "object" && body !== null && "error" in body) return `${subject}: ${answer}`;
    throw new Error(`${subject} was answered: ${answer.slice(0, 500)}`);
  }

  /** @throws when a text that an attacker got holds a secret of somebody else */
  unrevealed(text: string, secrets: readonly string[] = Object.values(SECRETS)): void {
    for (const secret of secrets)
      if (text.includes(secret)) throw new Error(`Revealed: ${text.slice(0, 300)}`);
  }

  /** Resolves when all that was sent so far has gone where it can go. */
  async settle(...connections: readonly { flush(): Promise<void> }[]): Promise<void> {
    for (let i = 0; i < 2; i++) {
      for (const nc of [...connections, ...this.world.watched.map(({ control }) => control.mesh)])
        await nc.flush();
    }
  }
}

/** Does what an attacker does. @returns how it was denied @throws when it was not */
export type Try = (attacker: Attacker, world: World) => Promise<string>;

export interface AttemptOptions {
  /** Paths of facts that may change: what the attacker has a right to. */
  readonly allow?: readonly RegExp[];
  /** The site holds routes because of it: the next attempt begins when all flow again. Default: false. */
  readonly holds?: boolean;
  /** Milliseconds; default 60 s. */
  readonly deadlineMs?: number;
}

/** Facts that change when an app of the tenant publishes an event at the site that goes nowhere else. */
export function publishes(site: string, tenant: string): RegExp[] {
  const position = "consumer/[^/]+/position";
  return [
    new RegExp(`^${site}/MESH/(out|view|dlq)_${tenant}(_[^/]+)?/(state|${position})$`),
    new RegExp(`^${site}/T_${tenant}/${tenant}/(state|${position})$`),
    new RegExp(`^${site}/inbox/${tenant}$`),
    new RegExp(
      `^${site}/marked/MESH/(${site}(~[^.]+)?\\.${tenant}\\.|dlq\\.${tenant}\\.|mesh\\.log\\.${tenant}\\.)`,
    ),
  ];
}

/** Facts that change when such an event also reaches another site. */
export function arrives(from: string, tenant: string, at: string): RegExp[] {
  const position = "consumer/[^/]+/position";
  return [
    new RegExp(`^${at}/MESH/(in|quiet)_${tenant}/(state|${position})$`),
    new RegExp(`^${at}/T_${tenant}/${tenant}/(state|${position})$`),
    new RegExp(`^${at}/inbox/${tenant}$`),
    new RegExp(
      `^${at}/marked/MESH/(${tenant}\\.|${from}(~[^.]+)?\\.${tenant}\\.|mesh\\.(log|${from}\\.deliver)\\.)`,
    ),
    new RegExp(`^${from}/marked/MESH/mesh\\.${from}\\.deliver\\.${at}\\.`),
  ];
}

/** Makes attempts on one world, and judges them. */
export class Judge {
  readonly #world: World;
  #last: Snapshot | null = null;
  /** What may still change of what the attempt before did. */
  #lastAllowed: readonly RegExp[] = [];
  #holds = false;
  #count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** All that is wrong with an attempt; empty: it was denied, and nothing has changed or leaked. */
  async judge(attack: Try, options: AttemptOptions = {}): Promise<string[]> {
    const problems: string[] = [];
    const before = await this.#before(problems);
    this.#count++;
    const attacker = new Attacker(this.#world, `${MARK}${this.#count}-`);
    try {
      const denial = await attack(attacker, this.#world);
      if (denial.trim() === "") problems.push("the attempt does not say how it was denied");
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    } finally {
      await attacker.end();
    }
    this.#lastAllowed = options.allow ?? [];
    this.#holds = options.holds ?? false;
    const unexpected = (after: Snapshot) => this.#unallowed(before, after);
    this.#last = await this.#settled((after) => unexpected(after).length === 0);
    problems.push(...unexpected(this.#last).map(({ text }) => text));
    return problems;
  }

  /** What came after the last attempt had been judged. */
  async leftBehind(): Promise<string[]> {
    const problems: string[] = [];
    await this.#before(problems);
    return problems;
  }

  /** What was done to the world on purpose is no attempt's doing. */
  forget(): void {
    this.#last = null;
  }

  async #before(problems: string[]): Promise<Snapshot> {
    if (this.#holds) await this.#world.flowing();
    const last = this.#last;
    if (last === null) return await this.#settled(() => true);
    const first = (await takeSnapshot(this.#world.watched)).facts;
    // What lasts came of it; a connection that is not logged in yet may be one of the sidecar's own.
    const allowed = (facts: Snapshot) => this.#unallowed(last, facts).length === 0;
    const facts = allowed(first) ? first : await this.#settled(allowed);
    const late = this.#unallowed(last, facts).map(({ text }) => `after the attempt before this one, ${text}`);
    problems.push(...late);
    const same = differences(last, facts).length === 0;
    return same ? facts : await this.#settled(() => true);
  }

  #unallowed(before: Snapshot, after: Snapshot): { readonly path: string; readonly text: string }[] {
    return differences(before, after).filter(
      ({ path }) => !this.#lastAllowed.some((pattern) => pattern.test(path)),
    );
  }

  /** The facts once they stand still; within the deadline those that are `wanted`. */
  async #settled(wanted: (facts: Snapshot) => boolean): Promise<Snapshot> {
    const started = performance.now();
    let before = (await takeSnapshot(this.#world.watched)).facts;
    for (;;) {
      const { facts, idle } = await takeSnapshot(this.#world.watched);
      const late = performance.now() - started;
      // Who never acknowledges is not waited for.
      const still = differences(before, facts).length === 0 && (idle || late > IDLE_DEADLINE_MS);
      if (still && (wanted(facts) || late > CHANGE_DEADLINE_MS)) return facts;
      if (late > SETTLE_DEADLINE_MS) return facts;
      before = facts;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}

export interface Siege {
  /** Registers an attempt as a test. Its name says who tries what. */
  readonly attempt: (name: string, attack: Try, options?: AttemptOptions) => void;
  /** The world, once its tests run. */
  readonly world: () => World;
  readonly judge: () => Judge;
}

/**
 * One world for all attempts of a file: started before the first, stopped after the last, when also what came late is
 * looked for.
 *
 * @param prepare changes the world before the attempts begin
 */
export function besiege(options: WorldOptions = {}, prepare?: (world: World) => Promise<void>): Siege {
  let world: World | undefined;
  let judge: Judge | undefined;
  const there = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("The world has not started");
    return value;
  };
  beforeAll(async () => {
    world = await World.start(options);
    await prepare?.(world);
    judge = new Judge(world);
  }, 120_000);
  afterAll(async () => {
    try {
      if (judge !== undefined) expect(await judge.leftBehind()).toEqual([]);
    } finally {
      await world?.[Symbol.asyncDispose]();
    }
  }, 60_000);
  return {
    world: () => there(world),
    judge: () => there(judge),
    attempt: (name, attack, attemptOptions = {}) => {
      test(
        name,
        async () => {
          expect(await there(judge).judge(attack, attemptOptions)).toEqual([]);
        },
        attemptOptions.deadlineMs ?? ATTEMPT_DEADLINE_MS,
      );
    },
  };
}
