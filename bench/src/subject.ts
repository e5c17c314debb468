/** The process of one contender in one scenario: measures when it is told to. Started by `crew.ts`. */
import { findScenario } from "./scenarios.ts";

const [scenario = "", contender = "", ...urls] = process.argv.slice(2);
const subject = await findScenario(scenario).prepare(contender, urls);

process.on("message", (phase: string) => {
  subject.run(phase).then(
    (figures) => process.send?.({ figures: encode(figures) }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
// The parent has nothing more to ask, or is gone.
process.on("disconnect", () => process.exit());
process.send?.("ready");

/** JSON knows no Infinity. */
function encode(figures: Record<string, number>): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}
