/** A tenant's document: its users, limits, deduplication, exports and imports. */
import { z } from "zod";
import { MOST_SCHEMAS, SchemaInFile } from "./contract.ts";
import { SensitiveList } from "./guards.ts";
import { ExportPolicy, ImportPolicy } from "./policy.ts";
import { duration, Name, size } from "./scalars.ts";
import { TenantUser } from "./user.ts";

export { TenantUser };

/** What a server can promise, see `max_file` of its configuration; and what NATS advises as the largest message. */
const MOST_STORAGE_BYTES = 8 * 1024 ** 4;
const MOST_MSG_BYTES = 64 * 1024 ** 2;

const MOST_CONNECTIONS = 1_000_000;
const MOST_SUBSCRIPTIONS = 10_000_000;
const MOST_STREAMS = 100_000;
const MOST_CONSUMERS = 100_000;

function count(most: number) {
  return z.int().min(1).max(most).optional();
}

export const TenantLimits = z
  .strictObject({
    storage: size(1024, MOST_STORAGE_BYTES)
      .optional()
      .meta({ description: "Of each of the tenant's streams; default 2GiB", example: "2GiB" }),
    maxAge: duration({ minMs: 1000 })
      .optional()
      .meta({ description: "How long events are kept; default 7d" }),
    maxMsgSize: size(1, MOST_MSG_BYTES)
      .optional()
      .meta({ description: "Largest event, headers included; default 1MiB" }),
    whenFull: z.enum(["discard-oldest", "refuse"]).optional().meta({
      description:
        "At the storage limit: drop the oldest event (default; the loss is counted), or refuse publishes",
    }),
    connections: count(MOST_CONNECTIONS).meta({
      description: "Connections of all users together; default: as many as the server takes",
    }),
    subscriptions: count(MOST_SUBSCRIPTIONS).meta({
      description: "Subscriptions of all connections together, those of streams included; default: no limit",
    }),
    maxPayload: size(1024, MOST_MSG_BYTES)
      .optional()
      .meta({ description: "Largest message of any kind, event or not; default: what the server takes" }),
    streams: count(MOST_STREAMS).meta({
      description: "Streams and buckets that the tenant's apps make, the log apart; default 128",
    }),
    consumers: count(MOST_CONSUMERS).meta({ description: "Consumers of each stream; default 4096" }),
    streamStorage: size(1024, MOST_STORAGE_BYTES)
      .optional()
      .meta({ description: "On disk, of streams that the tenant's apps make; default three times storage" }),
  })
  .meta({ id: "TenantLimits" });
export type TenantLimits = z.infer<typeof TenantLimits>;

export const Dedupe = z
  .strictObject({
    window: duration({ minMs: 100, maxMs: 86_400_000 }).optional().meta({ description: "Default 2m" }),
    ids: z
      .enum(["origin", "mesh"])
      .optional()
      .meta({ description: "Nats-Msg-Id is unique at its origin (default), or in the whole mesh" }),
  })
  .meta({ id: "Dedupe" });
export type Dedupe = z.infer<typeof Dedupe>;

/** The settings of a tenant without its policies: what `PUT /v1/tenants/{tenant}` takes. */
export const TenantSettings = z
  .strictObject({
    users: z.array(TenantUser).optional(),
    limits: TenantLimits.optional(),
    dedupe: Dedupe.optional(),
    log: z.boolean().optional().meta({ description: "Keep the log stream of all events; default true" }),
    sensitive: SensitiveList.optional().meta({
      description: "Fields of the tenant that lint follows: they must not reach another site unredacted",
    }),
  })
  .meta({ id: "TenantSettings" });
export type TenantSettings = z.infer<typeof TenantSettings>;

/** A tenant as it stands in a site file. */
export const TenantDocument = z
  .strictObject({
    tenant: Name,
    ...TenantSettings.shape,
    schemas: z.array(SchemaInFile).max(MOST_SCHEMAS).optional(),
    exports: z.array(ExportPolicy).optional(),
    imports: z.array(ImportPolicy).optional(),
  })
  .meta({ id: "TenantDocument" });
export type TenantDocument = z.infer<typeof TenantDocument>;
