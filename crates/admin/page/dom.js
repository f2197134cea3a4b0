// Small tools for the document: elements made and patched. Text goes in as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; strings become text. `on…` is a listener, `class` and others attributes. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of a picture. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else attribute(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets an attribute if it differs; null, undefined and false take it away. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets an element's text if it differs, so that an update without news costs no layout. */
export function text(element, value) {
  const node = element.firstChild;
  if (node?.nodeType === 3 && !node.nextSibling) {
    if (node.data !== value) node.data = value;
  } else if (node || value !== '') element.textContent = value;
}

/** Patches an element's text of several parts, every second one of them bold. */
export function rich(element, parts) {
  const nodes = element.childNodes;
  if (nodes.length !== parts.length) element.replaceChildren(...parts.map((part, index) => (index % 2 ? h('b', {}, part) : document.createTextNode(part))));
  else {
    parts.forEach((part, index) => {
      if (index % 2) text(nodes[index], part);
      else if (nodes[index].data !== part) nodes[index].data = part;
    });
  }
}

/** Replaces the children if what they are made of differs. */
export function renew(element, key, make) {
  if (element.madeOf === key) return;
  element.madeOf = key;
  element.replaceChildren(...[make()].flat());
}

/** Patches a list: an element per item, kept by key, in the items' order, with focus where it was. */
export function list(parent, items, keyOf, make, patch) {
  const known = (parent.byKey ??= new Map());
  const seen = new Set();
  const focus = parent.contains(document.activeElement) ? document.activeElement : null;
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let element = known.get(key);
    if (!element) known.set(key, (element = make(item)));
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
    patch?.(element, item);
  }
  for (const [key, element] of known) {
    if (!seen.has(key)) {
      element.remove();
      known.delete(key);
    }
  }
  // A moved element loses the focus.
  if (focus?.isConnected && document.activeElement !== focus) focus.focus({ preventScroll: true });
}
