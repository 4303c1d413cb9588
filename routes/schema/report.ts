/**
 * The reports of the sidecar as schemas. The types are those of src/control/api.ts, link_api.ts and site_api.ts: a field added there
 * is a type error here until it is documented.
 */
import { z } from "@hono/zod-openapi";
import type * as report from "../../src/control/api.ts";
import type * as link from "../../src/control/link_api.ts";
import type * as site from "../../src/control/site_api.ts";

const StepReport = z
  .object({
    type: z.string().meta({ example: "create-stream" }),
    target: z.string().meta({ example: "MESH/out_acme" }),
    text: z.string(),
  })
  .meta({ id: "Step" });

export const PlanReport: z.ZodType<report.PlanReport> = z
  .object({
    revision: z.int(),
    steps: z.array(StepReport),
    notes: z.array(z.string()).meta({ description: "What a person must decide" }),
    routes: z.array(
      z.object({
        tenant: z.string(),
        policy: z.string(),
        kind: z.enum(["native", "view"]),
        why: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: "Plan", description: "What would be done, in order, and how each export runs" });

export const ApplyReport: z.ZodType<report.ApplyReport> = z
  .object({
    revision: z.int(),
    applied: z.array(StepReport),
    failed: z.array(
      StepReport.extend({
        error: z.string(),
        waiting: z.boolean().meta({ description: "Nothing is wrong: tried again when a peer has answered" }),
      }).meta({ id: "FailedStep" }),
    ),
    converged: z.boolean().meta({ description: "Nothing is left to do" }),
  })
  .meta({ id: "Apply" });

const ViewReport: z.ZodType<link.ViewReport> = z
  .object({
    member: z.string().nullable().meta({ description: "The sidecar that runs it, by its member name" }),
    state: z.string(),
    version: z.string(),
    position: z.int(),
    forwarded: z.int(),
    redacted: z.int(),
    denied: z.int(),
    quarantined: z.int(),
    reasons: z.record(z.string(), z.int()).meta({ description: "Quarantined events by reason" }),
    redriven: z.int().meta({ description: "Dead letters that were decided again and forwarded" }),
    limited: z.int().meta({ description: "Events dropped because a limit was reached" }),
    deferredMs: z.int().meta({ description: "How long the view has waited for its limits" }),
    deferral: z.string().nullable().meta({ description: "The limit that the view waits for now" }),
    waiting: z.int().meta({ description: "Events that were read and not passed on yet" }),
    missed: z.int().meta({
      description: "Events that retention dropped before the worker could take them; an upper bound",
    }),
    lastError: z.string().nullable(),
  })
  .meta({ id: "View", description: "What the view's worker did since it started" });

const RouteReport: z.ZodType<link.RouteReport> = z
  .object({
    direction: z.enum(["out", "in"]),
    tenant: z.string(),
    origin: z.string(),
    policy: z.string().nullable(),
    kind: z.enum(["native", "view", "mirror"]),
    stream: z.string(),
    subjects: z.array(z.string()),
    active: z.boolean(),
    lag: z.int().meta({ description: "Events that wait to cross" }),
    position: z.int(),
    lastEvent: z.string().nullable().meta({ description: "When an event last crossed, RFC 3339" }),
    lost: z.int().meta({ description: "Events that retention dropped before they crossed, an upper bound" }),
    why: z.string().nullable().meta({ description: "Why nothing flows" }),
    view: ViewReport.nullable(),
  })
  .meta({ id: "Route" });

export const LinkReport: z.ZodType<link.LinkReport> = z
  .object({
    peer: z.string(),
    direction: z.enum(["dial", "accept"]),
    address: z.string().nullable(),
    connected: z.boolean(),
    verified: z.enum(["yes", "no", "unknown"]).meta({ description: "The peer proved its key" }),
    rttMs: z.number().nullable(),
    compression: z.string().nullable().meta({
      description:
        "How hard what this site sends on the link is compressed, as nats-server says it; null while there is no link",
    }),
    revoked: z.string().nullable().meta({ description: "When the peer's key was revoked, RFC 3339" }),
    why: z.string().nullable(),
    routes: z.array(RouteReport),
  })
  .meta({ id: "Link" });

export const SiteReport: z.ZodType<site.SiteReport> = z
  .object({
    site: z.string(),
    key: z.string().meta({ description: "Public site key, to give to peers" }),
    version: z.string(),
    runtime: z.string(),
    revision: z.int(),
    server: z.object({
      mode: z.enum(["embedded", "external"]),
      version: z.string(),
      id: z.string(),
      pid: z.int().nullable(),
      listen: z.string(),
      leaf: z.string(),
      mqtt: z.string().nullable().meta({ description: "Where clients of MQTT connect" }),
      websocket: z.string().nullable(),
      sync: z.string(),
    }),
    startedAt: z.string(),
    converged: z.boolean(),
    alarms: z
      .object({ critical: z.int(), warning: z.int() })
      .meta({ description: "How many alarms are raised, see /v1/alarms" }),
    store: z
      .object({
        state: z.enum(["ok", "low", "stopped"]),
        freeBytes: z.int(),
        totalBytes: z.int(),
        usedBytes: z.int().meta({ description: "What the streams take" }),
        budgetBytes: z.int().meta({ description: "What all tenants together may take at most" }),
      })
      .nullable()
      .meta({ description: "The disk under the store; null where it is not this machine's" }),
    memory: z
      .object({ usedBytes: z.int(), limitBytes: z.int() })
      .meta({ description: "The sidecar's own: what the process takes, and where an alarm is raised" }),
    links: z.object({
      mode: z.enum(["tls", "plain"]),
      advertise: z.string().meta({ description: "What peers dial, host:port" }),
      ca: z.string().meta({ description: "CA of this site, PEM, to give to peers" }),
      certificates: z.array(
        z.object({
          kind: z.enum(["ca", "link", "peer_ca"]),
          peer: z.string().nullable(),
          fingerprint: z.string().meta({ description: "SHA-256 of the public key, hex" }),
          notAfter: z.string(),
          problem: z.string().nullable(),
        }),
      ),
    }),
  })
  .meta({ id: "Site" });
