//! The expressions that OpenMM writes for its Born models, recognised letter by letter (blanks aside).
//!
//! Anything else, down to a changed constant in an unexpected place, is left to the general evaluator.

use super::system::Sum;

const INTEGRAL: &str = "select(step(r+sr2-or1),0.5*(1/L-1/U+0.25*(r-sr2^2/r)*(1/(U^2)-1/(L^2))+0.5*log(L/U)/r),0)";
const NECK: &str = "step(radius1+radius2+neckCut-r)*getm0(radindex1,radindex2)/(1+100*(r-getd0(radindex1,radindex2))^2\
                    +0.3*1000000*(r-getd0(radindex1,radindex2))^6)";
const DISTANCE: &str = "sqrt(r^2+B1*B2*exp(-r^2/(4*B1*B2)))";
const DIELECTRIC: &str = "(1/soluteDielectric-1/solventDielectric)";

/// A formula and its definitions without blanks.
pub struct Text {
    main: String,
    definitions: Vec<(String, String)>,
}

/// The integral of a pair.
#[derive(Debug, PartialEq)]
pub enum Integral {
    Plain,
    Neck { scale: f64, reach: f64, offset: f64 },
}

/// The curve from the sum of integrals to the Born radius.
#[derive(Debug, PartialEq)]
pub enum Curve {
    Plain,
    /// alpha, beta, gamma.
    Fixed([f64; 3]),
    /// The same as parameters of the atoms.
    Columns,
}

impl Text {
    pub fn new(text: &str) -> Self {
        let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let mut parts = packed.split(';');
        let main = parts.next().unwrap_or_default().to_string();
        let define = |part: &str| part.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
        Self { main, definitions: parts.filter_map(define).collect() }
    }

    /// The text a name stands for; where it is defined twice, nothing is certain.
    fn definition(&self, name: &str) -> Option<&str> {
        let mut found = self.definitions.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.definition(name)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// Whether the definitions hold exactly these texts.
    fn defines(&self, expected: &[(&str, &str)]) -> bool {
        expected.iter().all(|(name, value)| self.definition(name) == Some(value))
    }

    /// Whether the radius is that of HCT.
    pub fn plain(&self) -> bool {
        self.main == "1/(1/or-I)"
    }

    pub fn integral(&self) -> Option<Integral> {
        if !self.defines(&[("U", "r+sr2"), ("L", "max(or1,D)"), ("D", "abs(r-sr2)")]) {
            return None;
        }
        if self.main == INTEGRAL {
            return Some(Integral::Plain);
        }
        let radii = [("radius1", "or1+offset"), ("radius2", "or2+offset"), ("Ineck", NECK), ("Ivdw", INTEGRAL)];
        if self.main != "Ivdw+neckScale*Ineck" || !self.defines(&radii) {
            return None;
        }
        let (scale, reach) = (self.number("neckScale")?, self.number("neckCut")?);
        Some(Integral::Neck { scale, reach, offset: self.number("offset")? })
    }

    pub fn growth(&self) -> Option<Curve> {
        if self.plain() {
            return Some(Curve::Plain);
        }
        if !self.defines(&[("psi", "I*or"), ("radius", "or+offset")]) {
            return None;
        }
        self.number("offset")?;
        let curve = self.main.strip_prefix("1/(1/or-tanh(")?.strip_suffix(")/radius)")?;
        Some(match curve {
            "0.8*psi+2.909125*psi^3" => Curve::Fixed([0.8, 0.0, 2.909125]),
            "psi-0.8*psi^2+4.85*psi^3" => Curve::Fixed([1.0, 0.8, 4.85]),
            "1.09511284*psi-1.907992938*psi^2+2.50798245*psi^3" => Curve::Fixed([1.09511284, 1.907992938, 2.50798245]),
            "alpha*psi-beta*psi^2+gamma*psi^3" => Curve::Columns,
            _ => return None,
        })
    }

    /// `k (1/eps_in - 1/eps_out)` from the constant before that bracket.
    fn coulomb(&self, k: &str) -> Option<f64> {
        let k: f64 = k.parse().ok()?;
        Some(k * (1.0 / self.number("soluteDielectric")? - 1.0 / self.number("solventDielectric")?))
    }
}

/// What the energy terms say together.
#[derive(Debug, Default, PartialEq)]
pub struct Terms {
    pub coulomb: f64,
    pub surface: f64,
    pub shift: f64,
    /// Radius less offset radius, as the surface term has it.
    pub offset: Option<f64>,
}

impl Terms {
    /// Reads the self energy, the pair energy and, where there is one, the surface energy; each must stand once.
    pub fn read(terms: &[(Sum, String)]) -> Option<Self> {
        let (mut own, mut pair, mut surface) = (None, None, None);
        for (sum, text) in terms {
            let text = Text::new(text);
            let (slot, value) = match sum {
                Sum::Atoms => match self_energy(&text) {
                    Some(coulomb) => (&mut own, (coulomb, 0.0)),
                    None => (&mut surface, surface_energy(&text)?),
                },
                Sum::PairsWithoutExclusions => (&mut pair, pair_energy(&text)?),
                Sum::Pairs => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let ((coulomb, _), (pair_coulomb, shift)) = (own?, pair?);
        let (surface, offset) = surface.map_or((0.0, None), |(surface, offset)| (surface, Some(offset)));
        (coulomb == pair_coulomb).then_some(Self { coulomb, surface, shift, offset })
    }
}

fn self_energy(text: &Text) -> Option<f64> {
    let k = text.main.strip_prefix("-0.5*")?.strip_suffix(&format!("*{DIELECTRIC}*charge^2/B"))?;
    text.coulomb(k)
}

/// Factor and offset.
fn surface_energy(text: &Text) -> Option<(f64, f64)> {
    let factor = text.main.strip_suffix("*(radius+0.14)^2*(radius/B)^6")?;
    let offset = text.defines(&[("radius", "or+offset")]).then(|| text.number("offset"))??;
    Some((factor.parse().ok()?, offset))
}

/// Factor and shift.
fn pair_energy(text: &Text) -> Option<(f64, f64)> {
    let (k, rest) = text.main.strip_prefix('-')?.split_once(&format!("*{DIELECTRIC}*charge1*charge2"))?;
    if !text.defines(&[("f", DISTANCE)]) {
        return None;
    }
    let shift = match rest {
        "/f" => 0.0,
        _ => rest.strip_prefix("*(1/f-")?.strip_suffix(')')?.parse().ok()?,
    };
    Some((text.coulomb(k)?, shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRACKET: &str = "(1/soluteDielectric-1/solventDielectric)";
    const NUMBERS: &str = "solventDielectric=78.5; soluteDielectric=1; kappa=0; offset=0.009";

    fn terms(shift: &str) -> Vec<(Sum, String)> {
        let distance = "f=sqrt(r^2+B1*B2*exp(-r^2/(4*B1*B2)))";
        vec![
            (Sum::Atoms, format!("-0.5*138.935485*{BRACKET}*charge^2/B; {NUMBERS}")),
            (Sum::Atoms, format!("28.3919551*(radius+0.14)^2*(radius/B)^6; radius=or+offset; {NUMBERS}")),
            (
                Sum::PairsWithoutExclusions,
                format!("-138.935485*{BRACKET}*charge1*charge2{shift};{distance}; {NUMBERS}"),
            ),
        ]
    }

    #[test]
    fn terms_are_read_with_and_without_shift_and_surface() {
        let coulomb = 138.935485 * (1.0 - 1.0 / 78.5);
        let read = Terms::read(&terms("/f")).unwrap();
        assert_eq!(read, Terms { coulomb, surface: 28.3919551, shift: 0.0, offset: Some(0.009) });
        assert_eq!(Terms::read(&terms("*(1/f-0.5)")).unwrap().shift, 0.5);
        let without: Vec<_> = terms("/f").into_iter().filter(|(_, text)| !text.contains("0.14")).collect();
        assert_eq!(Terms::read(&without).unwrap(), Terms { coulomb, surface: 0.0, shift: 0.0, offset: None });
    }

    /// Salt, another distance or a term that stands twice is another model.
    #[test]
    fn anything_else_is_not_recognised() {
        assert_eq!(Terms::read(&terms("*exp(-kappa*f)/f")), None);
        let mut twice = terms("/f");
        twice.push(twice[0].clone());
        assert_eq!(Terms::read(&twice), None);
        let other: Vec<_> = terms("/f").into_iter().map(|(sum, text)| (sum, text.replace("4*B1", "2*B1"))).collect();
        assert_eq!(Terms::read(&other), None);

        let growth = |text: &str| Text::new(text).growth();
        let tail = "psi=I*or; radius=or+offset; offset=0.009";
        let known = growth(&format!("1/(1/or-tanh(0.8*psi+2.909125*psi^3)/radius); {tail}"));
        assert_eq!(known, Some(Curve::Fixed([0.8, 0.0, 2.909125])));
        assert_eq!(growth(&format!("1/(1/or-tanh(0.8*psi+2.9*psi^3)/radius); {tail}")), None);
        assert_eq!(growth("1/(1/or-tanh(0.8*psi+2.909125*psi^3)/radius); psi=I; radius=or+offset; offset=0.009"), None);
    }
}
