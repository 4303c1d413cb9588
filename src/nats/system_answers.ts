/** What the server answers over the system account, as far as it is read. */
import { z } from "zod";
import { parseGoDurationMs } from "./go_duration.ts";

const Leaf = z.object({
  id: z.number(),
  name: z.string().default(""),
  account: z.string(),
  ip: z.string().default(""),
  port: z.number().default(0),
  rtt: z.string().optional(),
  is_spoke: z.boolean().default(false),
  in_msgs: z.number().default(0),
  out_msgs: z.number().default(0),
  in_bytes: z.number().default(0),
  out_bytes: z.number().default(0),
  compression: z.string().optional(),
});
export type Leaf = z.infer<typeof Leaf>;
export const Leafz = z.object({ leafs: z.array(Leaf).nullish() });
export const Accountz = z.object({ accounts: z.array(z.string()).nullish() });
const Export = z.object({
  type: z.enum(["service", "stream"]),
  subject: z.string(),
  approved_accounts: z.array(z.string()).nullish(),
});
const Import = z.object({
  type: z.enum(["service", "stream"]),
  /** Owner of the subject. */
  account: z.string(),
  subject: z.string(),
  /** Its name in the importing account. */
  local_subject: z.string(),
  invalid: z.boolean(),
});
export const AccountDetail = z.object({
  account_detail: z.object({
    account_name: z.string(),
    jetstream_enabled: z.boolean(),
    leafnode_connections: z.number(),
    client_connections: z.number(),
    exports: z.array(Export).nullish(),
    imports: z.array(Import).nullish(),
  }),
});
export const Varz = z.looseObject({
  server_id: z.string(),
  server_name: z.string(),
  version: z.string(),
  host: z.string(),
  port: z.number(),
  mem: z.number(),
  cpu: z.number(),
  connections: z.number(),
  slow_consumers: z.number(),
  start: z.string(),
  config_load_time: z.string(),
  config_digest: z.string().optional(),
  max_payload: z.number(),
  jetstream: z
    .looseObject({
      config: z
        .looseObject({
          store_dir: z.string().optional(),
          domain: z.string().optional(),
          sync_always: z.boolean().optional(),
        })
        .optional(),
    })
    .optional(),
  leaf: z
    .looseObject({
      host: z.string().optional(),
      port: z.number().optional(),
      tls_required: z.boolean().optional(),
      tls_verify: z.boolean().optional(),
      remotes: z.array(z.looseObject({ local_account: z.string().optional() })).optional(),
    })
    .optional(),
  feature_flags: z.record(z.string(), z.boolean()).optional(),
});
export const Health = z.object({ status: z.string(), error: z.string().default("") });
const HealthProblem = z.object({
  type: z.string(),
  account: z.string().default(""),
  stream: z.string().default(""),
});
export const HealthProblems = z.object({ errors: z.array(HealthProblem).nullish() });
export const Reply = z.object({
  data: z.unknown().optional(),
  error: z.object({ code: z.number().optional(), description: z.string().default("") }).optional(),
});

const Connection = z.object({
  cid: z.number(),
  authorized_user: z.string().default(""),
  ip: z.string().default(""),
  name: z.string().default(""),
});
const Route = z.object({ remote_id: z.string(), remote_name: z.string().default("") });
export const Routez = z.object({ routes: z.array(Route).nullish() });
export const Connz = z.object({ total: z.number(), connections: z.array(Connection).nullish() });

/** The leaf link of one peer as this server sees it. */
export type LeafStatus =
  | { readonly type: "down"; readonly peer: string }
  | {
      readonly type: "up";
      readonly peer: string;
      /** Connection id, for a kick. */
      readonly id: number;
      /** The name that the peer's server gives itself: a claim, not a proof. */
      readonly name: string;
      readonly ip: string;
      readonly port: number;
      /** Whether we dialed. */
      readonly dialed: boolean;
      readonly rttMs: number | null;
      readonly inMessages: number;
      readonly outMessages: number;
      readonly inBytes: number;
      readonly outBytes: number;
      readonly compression: string | null;
    };

export type ServerInfo = z.infer<typeof Varz>;
export type AccountInfo = z.infer<typeof AccountDetail>["account_detail"];

/** A link that stands. */
export function linkUp(peer: string, leaf: Leaf): LeafStatus {
  return {
    type: "up",
    peer,
    id: leaf.id,
    name: leaf.name,
    ip: leaf.ip,
    port: leaf.port,
    dialed: leaf.is_spoke,
    rttMs: parseGoDurationMs(leaf.rtt),
    inMessages: leaf.in_msgs,
    outMessages: leaf.out_msgs,
    inBytes: leaf.in_bytes,
    outBytes: leaf.out_bytes,
    compression: leaf.compression ?? null,
  };
}
