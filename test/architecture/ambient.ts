import ts from 'typescript';
import { parse, place, type Source, walk } from './source.js';

/** Where the host's time and randomness come in; everything else gets a `Clock` and a `Random`. */
const ENTRANCES = new Set([
  'src/core/time/clock.ts',
  'src/core/time/timers.ts',
  'src/core/time/turns.ts',
  'src/core/numbers/random.ts',
]);
const MEMBERS = new Set(['Date.now', 'performance.now', 'Math.random']);
const OBJECTS = new Set(['Date', 'performance', 'Math']);
const FUNCTIONS = new Set(['setTimeout', 'setInterval']);

/** `Date` of `Date`, `globalThis.Date` and `globalThis['Date']`. */
function lastName(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  if (ts.isElementAccessExpression(node)) return literal(node.argumentExpression);
  return undefined;
}

const literal = (node: ts.Node): string | undefined => (ts.isStringLiteralLike(node) ? node.text : undefined);

/** The banned thing that `node` itself is. */
function banned(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
    const member = `${lastName(node.expression)}.${lastName(node)}`;
    if (MEMBERS.has(member)) return member;
  }
  // const { now } = Date
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined) {
    const object = lastName(node.initializer);
    const member = node.name.elements.map((one) => `${object}.${lastName(one.propertyName ?? one.name)}`);
    return member.find((one) => MEMBERS.has(one));
  }
  // const clock = Date, or as an argument: what becomes of it cannot be seen here.
  if (ts.isIdentifier(node) && OBJECTS.has(node.text) && isHandedOn(node)) return `${node.text} as a value`;
  if (ts.isNewExpression(node) && lastName(node.expression) === 'Date' && !node.arguments?.length) return 'new Date()';
  if (ts.isCallExpression(node) && lastName(node.expression) === 'Date') return 'Date()';
  const name = ts.isElementAccessExpression(node) || ts.isIdentifier(node) ? lastName(node) : undefined;
  return name !== undefined && FUNCTIONS.has(name) && !ts.isTypeQueryNode(node.parent) ? name : undefined;
}

function isHandedOn(node: ts.Identifier): boolean {
  const { parent } = node;
  return (
    (ts.isVariableDeclaration(parent) && parent.initializer === node && ts.isIdentifier(parent.name)) ||
    (ts.isPropertyAssignment(parent) && parent.initializer === node) ||
    (ts.isCallExpression(parent) && parent.arguments.includes(node)) ||
    ts.isShorthandPropertyAssignment(parent)
  );
}

/** Where `sources` take time, timers or randomness from the host behind the clock's back. */
export function ambientProblems(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => !ENTRANCES.has(path))
    .flatMap((source) => {
      const file = parse(source);
      const found: string[] = [];
      walk(file, (node) => {
        const what = banned(node);
        if (what !== undefined) found.push(`${place(file, node)} uses ${what}`);
      });
      return found;
    });
}
