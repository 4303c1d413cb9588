/** Rotations as schemas. The types are those of src/model/rotation.ts. */
import { z } from "@hono/zod-openapi";
import { RotationKind, RotationPhase, type RotationReport } from "../../src/model/rotation.ts";
import { Name } from "../../src/model/schema/scalars.ts";

export const RotationDocument: z.ZodType<RotationReport> = z
  .object({
    what: RotationKind,
    phase: RotationPhase.meta({
      description:
        "announce: the peers are told of the new one and trust both. switch: it takes its place here. retire: the peers drop the old one. relink: links are made anew",
    }),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    by: z.string().nullable().meta({ description: "Who began it" }),
    from: z.string().meta({ description: "Public key, or fingerprint of a certificate's key, before" }),
    next: z.string().meta({ description: "The same after" }),
    failure: z.string().nullable().meta({ description: "What keeps this site itself from going on" }),
    peers: z
      .array(
        z.object({
          peer: z.string(),
          state: z.enum(["waiting", "confirmed", "skipped"]),
          why: z.string().nullable().meta({ description: "Why it has not confirmed" }),
          remedy: z
            .string()
            .nullable()
            .meta({ description: "What its operator must do, where the rotation goes on without it" }),
        }),
      )
      .readonly(),
  })
  .meta({ id: "Rotation" });

export const RotateBody = z
  .strictObject({
    what: RotationKind,
    peers: z
      .array(Name)
      .max(1000)
      .optional()
      .meta({ description: "Of a certificate: whose links are made anew; default all" }),
  })
  .meta({ id: "RotateBody" });
