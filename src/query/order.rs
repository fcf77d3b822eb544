//! Cheap conditions first.
//!
//! Rows are filtered while columns are decoded, one condition after the other, and what a condition lets pass is all
//! that the next one sees. The planner puts conditions together as it finds them; here each filter's are put in the
//! order of what they cost: comparisons, then patterns, then functions. What is kept is the same, and conditions that
//! cost the same stay as they were. Nothing is known here of tables or of how often a condition holds.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The rule; see the module.
#[derive(Debug)]
pub(super) struct CheapFirst;

impl OptimizerRule for CheapFirst {
    fn name(&self) -> &str {
        "cheap_first"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
        let mut conditions = split_conjunction(&filter.predicate);
        if filter.predicate.is_volatile() || conditions.is_sorted_by_key(|condition| cost(condition)) {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        conditions.sort_by_key(|condition| cost(condition));
        let ordered = conjunction(conditions.into_iter().cloned());
        let predicate = ordered.unwrap_or_else(|| filter.predicate.clone());
        Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
    }
}

/// What a row costs, roughly, in comparisons.
fn cost(condition: &Expr) -> u32 {
    let mut sum = 0;
    // The closure never fails.
    let _ = condition.apply(|part| {
        sum += match part {
            Expr::Like(like) if like.case_insensitive => 8,
            Expr::Like(_) => 4,
            Expr::SimilarTo(_) => 30,
            Expr::BinaryExpr(BinaryExpr {
                op:
                    Operator::RegexMatch
                    | Operator::RegexIMatch
                    | Operator::RegexNotMatch
                    | Operator::RegexNotIMatch,
                ..
            }) => 30,
            Expr::InList(list) => u32::try_from(list.list.len()).unwrap_or(u32::MAX).min(4),
            Expr::ScalarFunction(_) => 20,
            Expr::Cast(_) | Expr::TryCast(_) => 2,
            Expr::BinaryExpr(_) | Expr::Case(_) | Expr::Between(_) => 1,
            _ => 0,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    sum
}

#[cfg(test)]
mod tests {
    use crate::query::{EngineOptions, Params, testing};

    #[tokio::test]
    async fn what_costs_less_comes_first() {
        let engine = testing::engine(&EngineOptions::default(), &[]).await;
        let sql = "SELECT request_id FROM requests WHERE operation_class = 'read' AND key ILIKE '%x%' \
                   AND regexp_like(key, 'z.z') AND key LIKE '%y%' AND http_status > 400";
        let plan = engine.plan(sql, &Params::none()).await.unwrap().into_optimized_plan().unwrap();
        let plan = plan.display_indent().to_string();
        let places: Vec<_> = ["http_status >", "key LIKE", "key ILIKE", "operation_class(", "key ~"]
            .map(|condition| plan.find(condition).unwrap_or_else(|| panic!("{condition} in {plan}")))
            .into();
        assert!(places.is_sorted(), "{plan}");
    }
}
