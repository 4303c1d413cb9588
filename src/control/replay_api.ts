/** Replays as the API asks for them, and as the data plane works on them. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DesiredState } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { Replay, ReplayReport, ReplayRequest } from "../model/replay.ts";
import { type PlacedReplay, placeReplay } from "./replay_source.ts";

/** Replays of a tenant's stored events. */
export interface ReplayApi {
  list(tenant: string): readonly ReplayReport[];
  /** How one stands: when it has ended or is paused, or after `waitMs`. @throws {LeafmeshError} `not_found` */
  get(tenant: string, id: string, waitMs?: number): Promise<ReplayReport>;
  /** @throws {LeafmeshError} `not_found`, `request_invalid`, `conflict` when too many are under way */
  start(tenant: string, request: ReplayRequest): Promise<ReplayReport>;
  /** @throws {LeafmeshError} `not_found`, `conflict` when it has ended */
  change(
    tenant: string,
    id: string,
    asked: { readonly wanted?: Replay["wanted"]; readonly rate?: number },
  ): Promise<ReplayReport>;
}

/** What works on the replays. */
export interface ReplayWork extends Omit<ReplayApi, "start">, AsyncDisposable {
  start(tenant: string, replay: PlacedReplay): Promise<ReplayReport>;
  /** Those that need their streams. */
  wanted(): readonly Replay[];
}

/** The replays of a site, from when they are open. */
export class Replays implements ReplayApi, AsyncDisposable {
  readonly #mesh: JetStreamManager;
  readonly #state: () => DesiredState;
  #work: ReplayWork | null = null;

  constructor(mesh: JetStreamManager, state: () => DesiredState) {
    this.#mesh = mesh;
    this.#state = state;
  }

  open(work: ReplayWork): void {
    this.#work = work;
  }

  /** Those that need their streams; `undefined`: not known yet. */
  wanted(): readonly Replay[] | undefined {
    return this.#work?.wanted();
  }

  /** Those of all tenants, of each the newest first; none before they are open. */
  all(): readonly ReplayReport[] {
    return this.#state().tenants.flatMap(({ name }) => this.#work?.list(name) ?? []);
  }

  list(tenant: string): readonly ReplayReport[] {
    return this.#there().list(tenant);
  }

  async get(tenant: string, id: string, waitMs?: number): Promise<ReplayReport> {
    return await this.#there().get(tenant, id, waitMs);
  }

  async start(tenant: string, request: ReplayRequest): Promise<ReplayReport> {
    const placed = await placeReplay(this.#mesh, this.#state(), tenant, request);
    return await this.#there().start(tenant, placed);
  }

  async change(tenant: string, id: string, asked: Parameters<ReplayApi["change"]>[2]): Promise<ReplayReport> {
    return await this.#there().change(tenant, id, asked);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work?.[Symbol.asyncDispose]();
  }

  #there(): ReplayWork {
    if (this.#work === null) throw new LeafmeshError("internal", "The replays are not open");
    return this.#work;
  }
}
