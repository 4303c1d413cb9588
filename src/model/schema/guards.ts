/** What an operator declares beside the policies, to hold them against it: forbidden flows and sensitive fields. */
import { z } from "zod";
import { nameProblem } from "../names.ts";
import { Name, Pattern } from "./scalars.ts";

const MOST_GUARDS = 64;

const SiteOrAny = z
  .string()
  .superRefine((text, context) => {
    const problem = text === "*" ? null : nameProblem(text);
    if (problem !== null)
      context.addIssue({ code: "custom", message: `'${text}' ${problem}; or '*' for any site` });
  })
  .meta({ example: "tokyo" });

const Fields = z
  .array(z.string().min(1))
  .min(1)
  .max(MOST_GUARDS)
  .meta({
    description: "JSONPaths, as redactions take them",
    example: ["$.customer.email"],
  });

/** A flow that must not be, whatever the policies say. */
export const Forbid = z
  .strictObject({
    from: SiteOrAny.meta({ description: "The site where the events were published, or * for any" }),
    to: SiteOrAny.meta({ description: "The site that must not get them, or * for any" }),
    subjects: z.array(Pattern).min(1).max(MOST_GUARDS).optional().meta({ description: "Default: all" }),
    fields: Fields.optional().meta({
      description: "The flow is allowed where these fields are redacted on every way",
      example: ["$.customer.email"],
    }),
  })
  .meta({ id: "Forbid" });
export type Forbid = z.infer<typeof Forbid>;

/** Fields that must not reach other sites unredacted. */
export const Sensitive = z
  .strictObject({
    fields: Fields,
    subjects: z.array(Pattern).min(1).max(MOST_GUARDS).optional().meta({ description: "Default: all" }),
    to: z.array(Name).min(1).max(MOST_GUARDS).optional().meta({ description: "Default: every other site" }),
  })
  .meta({ id: "Sensitive" });
export type Sensitive = z.infer<typeof Sensitive>;

/** Lists of them, as the site file and tenants' documents hold them. */
export const ForbidList = z.array(Forbid).max(MOST_GUARDS);
export const SensitiveList = z.array(Sensitive).max(MOST_GUARDS);
