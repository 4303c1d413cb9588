/** `dlq list`: events that a policy could not decide. */
import type { DeadLetterPage } from "../../../routes/answers.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

export const DLQ_LIST: Command = {
  name: "dlq list",
  args: ["<tenant>"],
  about: "dead letters of a tenant, oldest first; payloads are not shown",
  flags: {
    after: { value: "SEQUENCE", about: "continue after this one (default 0)" },
    limit: { value: "COUNT", about: "at most this many, up to 1000 (default 100)" },
  },
  run: async (call) => {
    const query = new URLSearchParams();
    for (const name of ["after", "limit"]) {
      const value = call.flag(name);
      if (value !== undefined) query.set(name, value);
    }
    const path = paths.deadLetters(argument(call, 0), query.toString());
    const page = await (await call.api()).get<DeadLetterPage>(path);
    const rows = page.items.map((letter) => [
      String(letter.sequence),
      letter.time.slice(0, 19),
      letter.subject,
      `${letter.policy}/${letter.rule}`,
      letter.reason,
      letter.error,
    ]);
    const none = "No dead letters.";
    const text =
      rows.length === 0 ? none : table(["SEQ", "TIME", "SUBJECT", "RULE", "REASON", "ERROR"], rows);
    const more = page.next === null ? "" : `\nMore: --after ${page.next}`;
    return { json: page, text: `${text}${more}` };
  },
};
