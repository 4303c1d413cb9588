/** Joins the parts that spread the views of a site over its members. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { MemberRpc } from "../../control/members/member_rpc.ts";
import type { Members } from "../../control/members/members.ts";
import type { Totals } from "../../flow/thread/supervisor.ts";
import type { ViewWorkers } from "../../flow/view_runner.ts";
import { errorText } from "../../model/errors.ts";
import type { TenantKeys } from "../../nats/tenant_keys.ts";
import type { Log } from "../../observe/log.ts";
import type { SiteViews, WantedView } from "../adapters.ts";
import { wantedViews } from "../early_views.ts";
import { VERSION } from "../version.ts";
import { LocalViews } from "./local_views.ts";
import { SpreadViews } from "./spread_views.ts";

export interface OpenViewsOptions {
  readonly nc: NatsConnection;
  readonly site: string;
  readonly members: Members;
  readonly rpc: MemberRpc;
  readonly workers: ViewWorkers;
  /** Of this data folder; none are made. */
  readonly keys: Pick<TenantKeys, "peek">;
  /** The plan is to look at the views. */
  readonly changed: () => void;
  readonly log: Log;
}

/** The views of a site. Disposing of it gives those that run here to others, or stops them, while this sidecar may still write them. */
export interface OpenViews extends AsyncDisposable {
  /** As the one that leads knows them. */
  readonly site: SiteViews;
  /** Milliseconds for which the views that run here may be written. */
  readonly mayWriteMs: number;
  /** How many run here. */
  readonly count: number;
  /** What all that ran here have counted since this sidecar started. */
  readonly counted: Totals;
  /** Goes on with the views in a leadership that begins. @returns what became of them, for the log */
  goOn(epoch: number): Promise<string | null>;
  /** Ends those that run here at once: another one leads. */
  drop(): void;
}

/** Takes part in running the views of a site, as the one that leads and as one that follows. */
export function openViews(options: OpenViewsOptions): OpenViews {
  const { nc, site, members, rpc, workers, keys, changed } = options;
  const log = (level: "info" | "warn", message: string) => options.log(level, "members", message);
  const keysOf = async (tenant: string) => (await keys.peek(tenant)).keys;
  const local = new LocalViews({ members, rpc, workers, software: VERSION, keysOf, log });
  const spread = new SpreadViews({ members, rpc, local, software: VERSION, changed, log });
  return {
    site: spread,
    get mayWriteMs() {
      return local.mayWriteMs;
    },
    get count() {
      return local.held.length;
    },
    get counted() {
      return local.counted;
    },
    goOn: async (epoch) => {
      const held = await spread.begin(epoch);
      const ran = members.ranBefore;
      let wanted: ReadonlyMap<string, WantedView> = new Map();
      try {
        if (held.length > 0 || ran.size > 0) wanted = await wantedViews({ nc, site, keys });
      } catch (error) {
        log("warn", `views wait for the first pass: ${errorText(error)}`);
      }
      const { stay, begin } = await spread.goOn(epoch, wanted, ran);
      return stay + begin === 0 ? null : `${stay + begin} views go on, ${stay} of them where they are`;
    },
    drop: () => local.drop(),
    [Symbol.asyncDispose]: async () => {
      await spread.handOver();
      await local[Symbol.asyncDispose]();
      await workers[Symbol.asyncDispose]();
      spread[Symbol.dispose]();
    },
  };
}
