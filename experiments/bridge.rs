use sampler::losses::LossConfig;
use sampler::nets::NetConfig;
use sampler::samplers::*;
use sampler::targets::*;
use sampler::torch::optim::*;
use sampler::train::bridge::objective::BridgeObjective;
use tch::*;
struct Funnel;
impl Target for Funnel {
    fn dim(&self) -> i64 {
        10
    }
    fn log_prob(&self, x: &Tensor) -> Tensor {
        let v = x.select(1, 0);
        let y = x.narrow(1, 1, 9);
        v.square() / -18.0 - &v * 4.5 - y.square().sum_dim_intlist(-1, false, x.kind()) * (-&v).exp() * 0.5
    }
    fn score(&self, x: &Tensor) -> Tensor {
        let v = x.narrow(1, 0, 1);
        let y = x.narrow(1, 1, 9);
        let w = (-&v).exp();
        let s = y.square().sum_dim_intlist(-1, true, x.kind()) * &w * 0.5 - 4.5 - &v / 9.0;
        Tensor::cat(&[s, -y * w], 1)
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let threads: i32 = a[1].parse().unwrap();
    let chunk: i64 = a[2].parse().unwrap();
    let loss: LossConfig = serde_json::from_str(&format!("{{\"type\":\"{}\"}}", a[3])).unwrap();
    let process: ProcessConfig = serde_json::from_str(&format!("{{\"type\":\"{}\"}}", a[4])).unwrap();
    tch::set_num_threads(threads);
    tch::manual_seed(0);
    let net: NetConfig = serde_json::from_str("{\"type\":\"pis_grad\"}").unwrap();
    let s = DiffusionSampler::new(&process, &net, 10, Kind::Float, Device::Cpu).unwrap();
    println!("params {}", s.params.count());
    let named = s.params.named();
    let mut o = BridgeObjective::new(s, Counted::new(Box::new(Funnel)), loss, 2000, chunk);
    let groups = vec![Group { name: "all".into(), learning_rate: 1e-3, params: named }];
    let mut opt = Optimizer::new(Rule::RAdam(Moments::default()), groups);
    let cpu = || unsafe {
        let mut u: libc::rusage = std::mem::zeroed();
        libc::getrusage(0, &mut u);
        (
            u.ru_utime.tv_sec as f64
                + u.ru_utime.tv_usec as f64 * 1e-6
                + u.ru_stime.tv_sec as f64
                + u.ru_stime.tv_usec as f64 * 1e-6,
            u.ru_maxrss,
        )
    };
    for i in 0..12 {
        let t = std::time::Instant::now();
        let c = cpu().0;
        opt.zero_grad();
        let u = o.accumulate();
        let r = opt.step(1.0, Some(1.0));
        println!(
            "{i} loss {:.4} elbo {:.4} grad {:.3} wall {:.3} cpu {:.3} rss {}",
            u.loss,
            u.elbo,
            r.grad_norm,
            t.elapsed().as_secs_f64(),
            cpu().0 - c,
            cpu().1 / 1024
        );
    }
}
